"""Rule comparison: the traces of this run beside those of a baseline."""

import json
import sys
from pathlib import Path

from wanbench.util.job_entry import enter_job

enter_job("envs/report.yaml", snakemake.config, snakemake.log[0])

import pandas as pd

from wanbench.analysis.tables import write_table
from wanbench.compare.change_verdict import compared_runs
from wanbench.compare.export import as_json
from wanbench.compare.video_change import Videos, frames_beside
from wanbench.report.render import comparison_markdown
from wanbench.trace.verdict import Limits
from wanbench.trace.writer import write_atomically
from wanbench.util.errors import InputError

cases, excluded = (pd.read_parquet(snakemake.input[name]) for name in ("cases", "excluded"))
excluded = excluded.query("of_grid")
try:
    comparison = compared_runs(
        str(snakemake.params.baseline),
        list(snakemake.params.baseline_files),
        [Path(file) for file in snakemake.input.traces],
        dict(zip(excluded["case"], excluded["reason"])),
        Limits(**snakemake.params.limits),
        snakemake.params.busy_machine_pct,
        Videos(frames_beside(snakemake.params.baseline_files[0]), Path("results/frames"), cases),
        snakemake.threads,
    )
except InputError as error:
    sys.exit(str(error))
write_table(comparison.rows, Path(snakemake.output.csv), Path(snakemake.output.parquet))
content = json.dumps(as_json(comparison), ensure_ascii=False, allow_nan=False, indent=1)
write_atomically(Path(snakemake.output.json), content + "\n")
write_atomically(Path(snakemake.output.markdown), comparison_markdown(comparison))

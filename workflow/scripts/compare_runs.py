"""Rule comparison: the traces of this run beside those of a baseline, or beside the figures of its report."""

import json
import sys
from pathlib import Path

from wanbench.entry import enter_job

enter_job("envs/report.yaml", snakemake.config)

import pandas as pd

from wanbench.errors import InputError
from wanbench.report.compare.export import as_json, as_table
from wanbench.report.compare.markdown import render
from wanbench.report.compare.runs import compared_runs
from wanbench.report.tables import write_table
from wanbench.rule_log import open_log
from wanbench.trace.verdict import Limits
from wanbench.trace.writer import write_atomically

sys.stderr = open_log(snakemake.log[0])

left_out = pd.read_parquet(snakemake.input.left_out).query("of_grid")
try:
    comparison = compared_runs(
        snakemake.params.baseline,
        [Path(file) for file in snakemake.params.baseline_files],
        [Path(file) for file in snakemake.input.traces],
        dict(zip(left_out["case"], left_out["reason"])),
        Limits(**snakemake.params.limits),
        snakemake.params.busy_machine_pct,
        snakemake.threads,
    )
except InputError as error:
    sys.exit(str(error))
write_table(as_table(comparison), Path(snakemake.output.csv), Path(snakemake.output.parquet))
content = json.dumps(as_json(comparison), ensure_ascii=False, allow_nan=False, indent=1)
write_atomically(Path(snakemake.output.json), content + "\n")
write_atomically(Path(snakemake.output.markdown), render(comparison))

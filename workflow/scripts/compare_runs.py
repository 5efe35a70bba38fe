"""Rule compare: the run beside a baseline; it fails where a case is worse or nothing could be compared."""

import json
import sys
from pathlib import Path

from wanbench.util.job_entry import enter_job

enter_job("envs/report.yaml", snakemake.config)

import pandas as pd

from wanbench.analysis.tables import typed, write_table
from wanbench.compare.change_verdict import compared_runs
from wanbench.compare.video_change import Videos, frames_beside
from wanbench.registry.metrics import COMPARISON_COLUMNS
from wanbench.report.render import rendered
from wanbench.trace.verdict import Limits
from wanbench.trace.writer import write_atomically
from wanbench.util.errors import InputError

cases, others = (pd.read_parquet(snakemake.input[name]) for name in ("cases", "excluded"))
excluded = others.query("of_grid").set_index("case")["reason"].to_dict()
files, traces = list(snakemake.params.baseline_files), [Path(file) for file in snakemake.input.traces]
videos = Videos(frames_beside(files[0]), Path("results/frames"), cases)
baseline, limits = str(snakemake.params.baseline), Limits(**snakemake.params.limits)
busy_pct = snakemake.params.busy_machine_pct
try:
    comparison = compared_runs(baseline, files, traces, excluded, limits, busy_pct, videos, snakemake.threads)
except InputError as error:
    sys.exit(str(error))
table = Path("results/tables/comparison.csv")
write_table(typed(comparison["rows"], COMPARISON_COLUMNS), table, table.with_suffix(".parquet"))
json_file, markdown = Path("results/comparison.json"), Path("results/comparison.md")
write_atomically(json_file, json.dumps(comparison, ensure_ascii=False, allow_nan=False, indent=1) + "\n")
write_atomically(markdown, rendered("comparison.md.j2", **comparison))
errors, ending = (rendered(f"comparison_{part}.j2", **comparison).strip() for part in ("errors", "end"))
Path(snakemake.log[0]).write_text(errors and f"{errors}\n", "utf-8")
print(f"The comparison: {markdown}, {json_file}\nThe report: {snakemake.input.report}\n{ending}")
sys.exit(f"The comparison {markdown} is complete, but:\n{errors}" if errors else 0)

"""Rule outcome: the run as a whole fails when a case failed or a trace was excluded, and names them."""

import json
import sys
from pathlib import Path

from wanbench.util.job_entry import enter_job

enter_job("envs/report.yaml", snakemake.config)

import pandas as pd

from wanbench.report.grid_outcome import cases_by_outcome, errors_of
from wanbench.report.render import rendered
from wanbench.trace.writer import write_atomically

cases, excluded, findings = (pd.read_parquet(snakemake.input[name]) for name in ("cases", "excluded", "findings"))
errors = errors_of(cases, excluded, str(snakemake.params.grid))
outcome = cases_by_outcome(cases, findings)
report = f"The report: {snakemake.input.report}, {snakemake.input.page}"
lines = [rendered("counts.j2", outcome=outcome, written="visible"), report]
print("\n".join(lines))
Path(snakemake.log[0]).write_text("".join(f"{line}\n" for line in [*errors, *lines]), "utf-8")
if errors:
    sys.exit("\n".join([f"The report {snakemake.input.report} is complete, but:", *errors]))
write_atomically(
    Path(snakemake.output[0]), json.dumps({how: len(names) for how, names in outcome.items()}, indent=1) + "\n"
)

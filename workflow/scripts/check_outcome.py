"""Rule outcome: the run as a whole fails when a case failed or a trace was excluded, and names them."""

import json
import sys
from pathlib import Path

from wanbench.util.job_entry import enter_job

enter_job("envs/report.yaml", snakemake.config)

import pandas as pd

from wanbench.findings.case_counts import case_counts
from wanbench.findings.findings_table import findings_of_table
from wanbench.report.grid_outcome import errors_of, outcome_of
from wanbench.trace.writer import write_atomically
from wanbench.util.text import visible

cases = pd.read_parquet(snakemake.input.cases)
excluded = pd.read_parquet(snakemake.input.excluded)
findings = findings_of_table(pd.read_parquet(snakemake.input.findings))
errors = errors_of(cases, excluded, snakemake.params.grid)
report = f"The report: {snakemake.input.report}, {snakemake.input.page}"
lines = [case_counts(cases, findings, visible), report]
print("\n".join(lines))
Path(snakemake.log[0]).write_text("".join(f"{line}\n" for line in [*errors, *lines]), "utf-8")
if errors:
    sys.exit("\n".join([f"The report {snakemake.input.report} is complete, but:", *errors]))
write_atomically(Path(snakemake.output[0]), json.dumps(outcome_of(cases, findings), indent=1) + "\n")

"""Rule outcome: the run as a whole fails when a case failed or a trace was left out, and says which."""

import json
import sys
from pathlib import Path

from wanbench.entry import enter_job

enter_job("envs/report.yaml", snakemake.config)

import pandas as pd

from wanbench.report.counted import counted
from wanbench.report.findings.table import findings_of_table
from wanbench.report.outcome import faults_of, outcome_of
from wanbench.text import visible
from wanbench.trace.writer import write_atomically

cases = pd.read_parquet(snakemake.input.cases)
left_out = pd.read_parquet(snakemake.input.left_out)
findings = findings_of_table(pd.read_parquet(snakemake.input.findings))
folder = snakemake.config["results_in"]
faults = faults_of(cases, left_out, snakemake.params.grid, folder)
report, page = (Path(folder, path) for path in (snakemake.input.report, snakemake.input.page))
Path(snakemake.log[0]).write_text("".join(f"{fault}\n" for fault in faults), "utf-8")
print(f"Cases: {counted(cases, findings, visible)}")
if faults:
    sys.exit("\n".join([f"The report {report} is complete, but:", *faults]))
print(f"The report: {report}, {page}")
write_atomically(Path(snakemake.output[0]), json.dumps(outcome_of(cases, findings), indent=1) + "\n")

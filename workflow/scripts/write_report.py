"""Rule report: tables to findings, and both to Markdown."""

import sys
from pathlib import Path

from wanbench.entry import enter_job

enter_job("envs/report.yaml", snakemake.config)

import pandas as pd

from wanbench.report.content import content_of
from wanbench.report.findings.registry import findings_by_case
from wanbench.report.findings.table import findings_table
from wanbench.report.findings.thresholds import Thresholds
from wanbench.report.markdown import to_markdown
from wanbench.report.published import read_published
from wanbench.report.tables import records_by_case, write_table
from wanbench.rule_log import open_log
from wanbench.trace.writer import write_atomically

sys.stderr = open_log(snakemake.log[0])

tables = [pd.read_parquet(snakemake.input[name]) for name in ("cases", "stages", "details", "left_out")]
thresholds = Thresholds(**snakemake.params.thresholds)
findings = findings_by_case(tables[0], records_by_case(tables[1]), thresholds)
write_table(findings_table(findings), Path(snakemake.output.findings_csv), Path(snakemake.output.findings))
content = content_of(*tables, findings, thresholds, read_published())
write_atomically(Path(snakemake.output.report), to_markdown(content))

"""Rule report: tables to findings, and both to Markdown."""

from pathlib import Path

from wanbench.util.job_entry import enter_job

enter_job("envs/report.yaml", snakemake.config, snakemake.log[0])

import pandas as pd

from wanbench.analysis.tables import records_by_case, write_table
from wanbench.findings.findings_table import findings_table
from wanbench.findings.rules import findings_by_case
from wanbench.findings.thresholds import Thresholds
from wanbench.report.content import content_of
from wanbench.report.markdown import to_markdown
from wanbench.report.published import read_published
from wanbench.trace.writer import write_atomically

tables = [pd.read_parquet(snakemake.input[name]) for name in ("cases", "stages", "details", "excluded")]
thresholds = Thresholds(**snakemake.params.thresholds)
findings = findings_by_case(tables[0], records_by_case(tables[1]), thresholds)
write_table(findings_table(findings), Path(snakemake.output.findings_csv), Path(snakemake.output.findings))
content = content_of(*tables, findings, thresholds, read_published())
write_atomically(Path(snakemake.output.report), to_markdown(content))

"""Rule page: tables, pictures and traces to one HTML file."""

import sys
from pathlib import Path

from wanbench.entry import enter_job

enter_job("envs/report.yaml", snakemake.config)

import pandas as pd

from wanbench.report.collect import case_of
from wanbench.report.content import content_of
from wanbench.report.findings.table import findings_of_table
from wanbench.report.findings.thresholds import Thresholds
from wanbench.report.page import read_pictures, to_page
from wanbench.report.published import read_published
from wanbench.rule_log import open_log
from wanbench.trace.writer import write_atomically

sys.stderr = open_log(snakemake.log[0])

tables = [pd.read_parquet(snakemake.input[name]) for name in ("cases", "stages", "details", "left_out")]
findings = findings_of_table(pd.read_parquet(snakemake.input.findings))
content = content_of(*tables, findings, Thresholds(**snakemake.params.thresholds), read_published())
traces = {case_of(Path(file)): Path(file) for file in snakemake.input.traces}
pictures = read_pictures(Path(file) for file in snakemake.input.get("pictures", []))
write_atomically(Path(snakemake.output[0]), to_page(content, pictures, traces))

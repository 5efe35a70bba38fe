"""Rule report: tables to Markdown."""

import sys
from pathlib import Path

from wanbench.entry import enter_job

enter_job("envs/report.yaml", snakemake.config)

import pandas as pd

from wanbench.report.content import content_of
from wanbench.report.findings.thresholds import Thresholds
from wanbench.report.markdown import to_markdown
from wanbench.report.published import read_published
from wanbench.rule_log import open_log
from wanbench.trace.writer import write_atomically

sys.stderr = open_log(snakemake.log[0])

tables = [pd.read_parquet(snakemake.input[name]) for name in ("cases", "stages", "details", "left_out")]
content = content_of(*tables, Thresholds(**snakemake.params.thresholds), read_published())
write_atomically(Path(snakemake.output[0]), to_markdown(content))

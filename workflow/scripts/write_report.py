"""Rule report: tables to Markdown."""

import sys
from pathlib import Path

import pandas as pd

from wanbench.report.findings.thresholds import Thresholds
from wanbench.report.markdown import render
from wanbench.report.published import read_published
from wanbench.trace.writer import write_atomically

sys.stderr = open(snakemake.log[0], "w", encoding="utf-8", buffering=1)

tables = [pd.read_parquet(snakemake.input[name]) for name in ("cases", "stages", "details", "left_out")]
write_atomically(
    Path(snakemake.output[0]), render(*tables, Thresholds(**snakemake.params.thresholds), read_published())
)

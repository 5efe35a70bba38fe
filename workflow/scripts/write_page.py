"""Rule page: tables, pictures and traces to one HTML file."""

from pathlib import Path

from wanbench.util.job_entry import enter_job

enter_job("envs/report.yaml", snakemake.config, snakemake.log[0])

import pandas as pd

from wanbench.analysis.collect import case_of
from wanbench.findings.findings_table import findings_of_table
from wanbench.findings.thresholds import Thresholds
from wanbench.report.content import content_of
from wanbench.report.page import read_pictures, to_page
from wanbench.report.published import read_published
from wanbench.trace.writer import write_atomically

tables = [pd.read_parquet(snakemake.input[name]) for name in ("cases", "stages", "details", "excluded")]
findings = findings_of_table(pd.read_parquet(snakemake.input.findings))
content = content_of(*tables, findings, Thresholds(**snakemake.params.thresholds), read_published())
traces = {case_of(Path(file)): Path(file) for file in snakemake.input.traces}
words, cases = map(Path, snakemake.input.pictures)
pictures = read_pictures([words, *sorted(cases.glob("*/pictures.json"))])
write_atomically(Path(snakemake.output[0]), to_page(content, pictures, traces))

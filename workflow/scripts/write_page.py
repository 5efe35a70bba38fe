"""Rule page: tables and pictures to one HTML file."""

from pathlib import Path

from wanbench.util.job_entry import enter_job

enter_job("envs/report.yaml", snakemake.config, snakemake.log[0])

import pandas as pd

from wanbench.analysis.settings_table import Prices
from wanbench.analysis.tables import records_by_case
from wanbench.findings.findings_table import findings_of_table
from wanbench.findings.thresholds import Thresholds
from wanbench.report.page import read_pictures, to_page
from wanbench.report.published import read_published
from wanbench.report.view import view_of
from wanbench.trace.writer import write_atomically

names = ("cases", "stages", "excluded", "settings", "findings", "kernels")
cases, stages, excluded, settings, findings, kernels = (pd.read_parquet(snakemake.input[name]) for name in names)
thresholds, prices = Thresholds(**snakemake.params.thresholds), Prices(**snakemake.params.prices)
found = findings_of_table(findings)
view = view_of(cases, stages, excluded, settings, found, thresholds, prices, read_published(), kernels)
pictures = read_pictures(Path(snakemake.input.words).parent, list(cases["case"]))
longest = records_by_case(pd.read_parquet(snakemake.input.longest_kernels))
write_atomically(Path(snakemake.output[0]), to_page(view, pictures, longest))

"""Rule page: tables and traces to pictures, and all of it to one HTML file."""

from pathlib import Path
from types import SimpleNamespace

from wanbench.util.job_entry import enter_job

enter_job("envs/report.yaml", snakemake.config, snakemake.log[0])

import pandas as pd

from wanbench.analysis.settings_table import Prices
from wanbench.analysis.tables import records_by_case
from wanbench.plots.pictures import draw
from wanbench.report.page import to_page
from wanbench.report.view import view_of
from wanbench.trace.writer import write_atomically

names = ("cases", "stages", "settings", "kernels", "excluded", "findings", "longest_kernels")
tables = {name: pd.read_parquet(snakemake.input[name]) for name in names}
thresholds, prices = SimpleNamespace(**snakemake.params.thresholds), Prices(**snakemake.params.prices)
view = view_of(tables, thresholds, prices)
traces = [Path(file) for file in snakemake.input.traces]
pictures = draw(tables, traces, Path(snakemake.output.cases).parent, snakemake.threads)
write_atomically(Path(snakemake.output.page), to_page(view, pictures, records_by_case(tables["longest_kernels"])))

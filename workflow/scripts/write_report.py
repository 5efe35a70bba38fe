"""Rule report: tables to findings and settings, and all of them to Markdown."""

from pathlib import Path
from types import SimpleNamespace

from wanbench.util.job_entry import enter_job

enter_job("envs/report.yaml", snakemake.config, snakemake.log[0])

import pandas as pd

from wanbench.analysis.settings_table import Prices, settings_table
from wanbench.analysis.tables import write_table
from wanbench.findings.rules import findings_table
from wanbench.report.render import rendered
from wanbench.report.view import view_of
from wanbench.trace.writer import write_atomically

names = ("cases", "stages", "excluded", "kernels")
tables = {name: pd.read_parquet(snakemake.input[name]) for name in names}
thresholds, prices = SimpleNamespace(**snakemake.params.thresholds), Prices(**snakemake.params.prices)
tables["findings"] = findings_table(tables["cases"], tables["stages"], thresholds, tables["kernels"])
tables["settings"] = settings_table(
    tables["cases"], prices, thresholds.alike_generation_pct, thresholds.no_effect_memory_pct
)
for name, csv, parquet in zip(("findings", "settings"), snakemake.output.csv, snakemake.output.parquet):
    write_table(tables[name], Path(csv), Path(parquet))
view = view_of(tables, thresholds, prices)
write_atomically(Path(snakemake.output.report), rendered("report.md.j2", view=view))

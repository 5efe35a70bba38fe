"""Rule plan: says what the grid will need, and measures nothing."""

from pathlib import Path

from wanbench.entry import enter_job

enter_job("envs/report.yaml", snakemake.config)

from wanbench.cases.case import Case
from wanbench.plan import needs_of, plan_text

text = plan_text([needs_of(Case.from_settings(dict(settings))) for settings in snakemake.params.cases])
Path(snakemake.log[0]).write_text(text, "utf-8")
print(text)

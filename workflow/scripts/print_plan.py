"""Rule plan: says what the grid will need and what of it this machine has, and measures nothing."""

import os
from pathlib import Path

from wanbench.util.job_entry import enter_job

enter_job("envs/measure.yaml", snakemake.config)

from wanbench.cases.case import Case
from wanbench.estimate.machine import this_machine
from wanbench.estimate.plan import needs_of, plan_text

needs = [needs_of(Case.from_settings(dict(settings))) for settings in snakemake.params.cases]
text = plan_text(needs, this_machine(os.environ))
Path(snakemake.log[0]).write_text(text, "utf-8")
print(text)

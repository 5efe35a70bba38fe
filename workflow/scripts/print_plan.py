"""Rule plan: says what the grid will need and what of it this machine has, and measures nothing."""

import os
from pathlib import Path

from wanbench.util.job_entry import enter_job

enter_job("envs/measure.yaml", snakemake.config)

from wanbench.cases.case import Case
from wanbench.estimate.expected import expected_time, kept_cases
from wanbench.estimate.machine import this_machine
from wanbench.estimate.plan import needs_of, plan_text
from wanbench.util.paths import named_path

machine = this_machine(os.environ)
gpu = machine.gpus[0].name if machine.gpus else None
cases = [Case.from_settings(dict(settings)) for settings in snakemake.params.cases]
traces, kept = Path("results/traces"), kept_cases(named_path("results/reference"))
text = plan_text([needs_of(case, expected_time(case, traces, kept, gpu)) for case in cases], machine)
Path(snakemake.log[0]).write_text(text, "utf-8")
print(text)

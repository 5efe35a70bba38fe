"""Rule profile: the kernels of one step and one decoding of a case, on a GPU that no other case has."""

import json
import sys
from pathlib import Path

from wanbench.util.job_entry import enter_job

conda_env = enter_job("envs/measure.yaml", snakemake.config, snakemake.log[0])

from wanbench.cases.case import Case
from wanbench.measure.gpu_slots import process_slot
from wanbench.trace.writer import write_atomically
from wanbench.util.errors import InputError

name = snakemake.wildcards.case
case = Case.from_identity(name, dict(snakemake.params.case), snakemake.config["places"][name])

try:
    with process_slot(name):
        from wanbench.measure.wan.hindrances import SettingError
        from wanbench.measure.wan.profile_kernels import profile_case

        try:
            profile = profile_case(case, conda_env)
        except SettingError as error:
            raise InputError(str(error)) from None
except InputError as error:
    sys.exit(f"[{name}] {error}")
write_atomically(Path(snakemake.output[0]), json.dumps(profile, allow_nan=False, separators=(",", ":")))

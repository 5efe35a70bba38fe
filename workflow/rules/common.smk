import atexit
import os
import sys
from dataclasses import fields
from functools import cache
from pathlib import Path

from snakemake.settings.types import DeploymentMethod

SCRIPTS, RECORDS = Path(workflow.basedir, "workflow/scripts"), Path(".snakemake").absolute()
sys.path.insert(0, str(SCRIPTS))

from wanbench.cases.case import case_sha256
from wanbench.cases.command_line import grid_file
from wanbench.cases.project_folder import check_folders
from wanbench.cases.resolve import read_cases
from wanbench.cases.schema import read_checked
from wanbench.cases.yaml_file import environment_digest
from wanbench.compare.baseline import baseline_files
from wanbench.estimate.gpu_facts import find_gpu
from wanbench.measure.failures import failures
from wanbench.trace.verdict import Limits
from wanbench.tuning.goal import goal_of
from wanbench.util.code_closure import NOT_MEASURED, code_digest
from wanbench.util.digests import value_digest
from wanbench.util.errors import InputError
from wanbench.util.paths import named_path
from wanbench.util.text import visible


def refuse(message):
    """End with one line. Of an exception, Snakemake would show where it was raised as well."""
    sys.exit(visible(str(message)))


# Internals of Snakemake: `config` would tell neither which file a grid is from nor that a case stands in it twice.
OPTIONS = workflow.config_settings.config
try:
    # What --config may have depends on the target, which Snakemake tells to none of its files before it makes its plan.
    TUNED = "tune" in sys.argv and goal_of(OPTIONS)
    GRID_FILE = grid_file(OPTIONS, workflow.overwrite_configfiles, bool(TUNED))
    CASES = read_cases(GRID_FILE)
    BASELINE_FILES = baseline_files(OPTIONS["baseline"], Path("results")) if "baseline" in OPTIONS else []
    GPU = find_gpu(OPTIONS["gpu"]).name if "gpu" in OPTIONS else None
    THRESHOLDS, PRICES = map(read_checked, ("config/thresholds.yaml", "config/prices.yaml"))
    FAILURES = failures(Path("results"))
    check_folders(Path(workflow.basedir), RECORDS)
except InputError as error:
    refuse(error)
LIMITS = {field.name: THRESHOLDS[field.name] for field in fields(Limits)}
# Snakemake sees neither imported modules nor the content of environment files: their digests are parameters.
MEASURE_ENV, REPORT_ENV = map(environment_digest, ("measure", "report"))
EXPECTED = {"measure": code_digest(SCRIPTS / "measure_case.py", NOT_MEASURED), "env": MEASURE_ENV}
EXPECTED["case_sha256"] = {name: case_sha256(case) for name, case in CASES.items()}
# An internal of Snakemake: a job whose environment was not activated would run on the host's packages, unnoticed.
CONDA = DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method
# For scripts, where Snakemake does not compare it: limits, places of images, and conda instead of none measure nothing.
config["places"] = {name: case.places() for name, case in CASES.items()}
config |= {"expected": EXPECTED, "limits": LIMITS, "software_deployment": "conda" if CONDA else "none"}
config |= {"snakemake_pid": os.getpid(), "run_id": os.environ.setdefault("WANBENCH_RUN_ID", os.urandom(16).hex())}

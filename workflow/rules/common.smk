import os
import sys
from dataclasses import fields
from pathlib import Path

from snakemake.settings.types import DeploymentMethod

SCRIPTS = Path(workflow.basedir, "workflow/scripts")
sys.path.insert(0, str(SCRIPTS))

from wanbench.cases.case import case_sha256
from wanbench.cases.command_line import grid_file
from wanbench.cases.resolve import resolve_cases
from wanbench.cases.schema import read_checked
from wanbench.cases.yaml_file import environment_digest, read_yaml
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
    TUNED = goal_of(OPTIONS) if "tune" in sys.argv else None
    GRID_FILE = grid_file(OPTIONS, workflow.overwrite_configfiles, bool(TUNED))
    RESOLVED = resolve_cases(read_yaml(named_path(GRID_FILE)), GRID_FILE)
    BASELINE_FILES = baseline_files(OPTIONS["baseline"], Path("results")) if "baseline" in OPTIONS else []
    GPU = find_gpu(OPTIONS["gpu"]).name if "gpu" in OPTIONS else None
    THRESHOLDS, PRICES = map(read_checked, ("config/thresholds.yaml", "config/prices.yaml"))
    FAILURES = failures(Path("results"))
except InputError as error:
    refuse(error)
# Sorted: another order in the file changes no parameter.
CASES = {case.name: case for case in sorted(RESOLVED, key=lambda case: case.name)}
LIMITS = {field.name: THRESHOLDS[field.name] for field in fields(Limits)}
# Snakemake sees neither imported modules nor the content of environment files: their digests are parameters.
MEASURE_ENV, REPORT_ENV = map(environment_digest, ("measure", "report"))
EXPECTED = {"measure": code_digest(SCRIPTS / "measure_case.py", NOT_MEASURED), "env": MEASURE_ENV}
EXPECTED["case_sha256"] = {name: case_sha256(case) for name, case in CASES.items()}
# For scripts, where Snakemake does not compare it: limits, places of images, and conda instead of none measure nothing.
PLACES = {name: case.places() for name, case in CASES.items()}
config |= {"expected": EXPECTED, "limits": LIMITS, "places": PLACES, "snakemake_pid": os.getpid()}
# An internal of Snakemake: a job whose environment was not activated would run on the host's packages, unnoticed.
deployed_by = workflow.deployment_settings.deployment_method
config["software_deployment"] = "conda" if DeploymentMethod.CONDA in deployed_by else "none"
# Jobs inherit it, on other machines as well.
config["run_id"] = os.environ.setdefault("WANBENCH_RUN_ID", os.urandom(16).hex())


wildcard_constraints:
    case="[A-Za-z0-9_][A-Za-z0-9_.+-]*",
    folder="results(/reference/[A-Za-z0-9_][A-Za-z0-9_.+-]*)?",

import gc
import inspect
import os
import subprocess
import sys
from dataclasses import fields
from pathlib import Path

from snakemake.settings.types import DeploymentMethod

sys.path.insert(0, str(Path(workflow.basedir, "workflow", "scripts")))

from wanbench.cases.case import case_sha256
from wanbench.cases.yaml_file import read_yaml
from wanbench.cases.resolve import case_names, resolve_cases
from wanbench.cases.schema import THRESHOLDS_SCHEMA_FILE, check, nearest
from wanbench.util.conda_env import CONDA, NONE
from wanbench.util.errors import InputError
from wanbench.measure.failures import failures
from wanbench.cases.messages import of_no_checkpoint
from wanbench.models.facts import MODELS
from wanbench.util.paths import named_path
from wanbench.compare.baseline import baseline_digest, baseline_files
from wanbench.util.run_id import run_id
from wanbench.util.stale_lock import free_of_killed_runs
from wanbench.util.text import visible
from wanbench.trace.verdict import Limits

ROOT = Path(workflow.basedir)


def refuse(message):
    """End with one line. Of an exception, Snakemake would show where it was raised as well."""
    sys.exit(visible(message))


def grid_file():
    """The file named by --config grid=FILE, in place of the default grid and not merged with it.

    Snakemake's own --configfile names it as well; but a file that is missing or is no YAML is then refused by
    Snakemake, with a traceback or without saying which file it was.
    """
    options = dict(workflow.config_settings.config)
    options.pop("baseline", None)
    named = [options.pop("grid")] if "grid" in options else []
    if options:
        raise InputError(f"--config: {', '.join(options)} has no effect; allowed: grid=FILE, baseline=PATH")
    given = list(dict.fromkeys([*named, *(str(path) for path in workflow.overwrite_configfiles)]))
    # A job on another machine is started with both options, which then name one file.
    files = {str(Path(str(path)).absolute()): str(path) for path in given}
    if len(files) > 1:
        raise InputError(f"{' and '.join(files.values())} are {len(files)} grid files; allowed: one")
    return next(iter(files.values()), "config/config.yaml")


def shown_path(path):
    """The path as the user would write it."""
    here = Path.cwd()
    return str(Path(path).relative_to(here)) if Path(path).is_relative_to(here) else path


def baseline():
    """What --config baseline=PATH names, and its files; both empty where there is none."""
    options = workflow.config_settings.config
    if "baseline" not in options:
        return "", []
    named = str(options["baseline"] or "")
    return named, baseline_files(named_path(named), Path("results"))


def thresholds():
    """When a case's check is not passed and the report's findings speak: config/thresholds.yaml, checked."""
    file = ROOT / "config/thresholds.yaml"
    values = read_yaml(Path(shown_path(file)))
    check(values, str(shown_path(file)), schema_file=THRESHOLDS_SCHEMA_FILE)
    return values


def software_deployment():
    """Where the jobs' software comes from: `conda`, or `none` for what runs Snakemake."""
    if DeploymentMethod.CONDA not in workflow.deployment_settings.deployment_method:
        return NONE
    # As Snakemake asks: conda may be a function of the shell.
    if subprocess.run(["bash", "-c", "type conda"], capture_output=True).returncode:
        raise InputError(
            "--use-conda: there is no conda on this machine; allowed: a conda (24.7.1 or newer) on the PATH, "
            "or no --use-conda (README.md, 'Without conda')"
        )
    return CONDA


# Read here and not through `config`: that merges --configfile with the default grid, and lets the later of two
# cases of one name win.
try:
    GRID_FILE = grid_file()
    RESOLVED = resolve_cases(read_yaml(named_path(shown_path(GRID_FILE))), shown_path(GRID_FILE))
    BASELINE, BASELINE_FILES = baseline()
    THRESHOLDS = thresholds()
    FAILURES = failures(Path("results"))
    # Scripts get these through `config`, which Snakemake does not compare: to run with conda and then without it, or
    # the other way round, measures nothing again.
    config["software_deployment"] = software_deployment()
    config["snakemake_pid"] = os.getpid()
    # Seen from where Snakemake was started, as `--directory` has it.
    config["results_in"] = str(workflow.overwrite_workdir or "")
except InputError as error:
    refuse(str(error))

# Apart from the rest: the tables and the pictures of a case depend on no other.
LIMITS = {field.name: THRESHOLDS[field.name] for field in fields(Limits)}
# For the verdict in a trace. Not a parameter of `measure`: another limit measures nothing again, since the report makes
# a verdict of its own.
config["limits"] = LIMITS

if workflow.is_main_process:
    # Before rules are known, so is not the executor; but only one that runs jobs elsewhere is given a number of them.
    free_of_killed_runs(Path(".snakemake"), jobs_run_here=workflow.resource_settings.nodes is None)

config["run_id"] = run_id(begins_here=workflow.is_main_process)

# Sorted, so that another order in the file changes no parameter and runs nothing again.
CASES = {case.name: case.settings() for case in sorted(RESOLVED, key=lambda case: case.name)}
WITHOUT_CHECKPOINT = {case.name: case.checkpoint for case in RESOLVED if case.needs_writing}
IDENTITIES = {case.name: case.identity() for case in RESOLVED}
CASE_SHA256 = {case.name: case_sha256(case) for case in RESOLVED}

TRACED = {file.stem for file in Path("results/traces").glob("*.json")}
OTHER_TRACES = sorted(f"results/traces/{name}.json" for name in TRACED.difference(CASES))

# All that exists by now stays to the end, and so does what Snakemake plans from here on. To look for garbage among it as
# often as Python does took a tenth of a plan of 10,000 cases.
gc.freeze()
gc.set_threshold(50_000)


wildcard_constraints:
    case="[A-Za-z0-9_][A-Za-z0-9_.+-]*",
    machine="[A-Za-z0-9_][A-Za-z0-9_.+-]*",


def asked_for_each_case(function):
    """Keep what the function takes, which Snakemake asks several times before each call; that is dear for many cases."""
    function.__signature__ = inspect.signature(function)
    return function


@asked_for_each_case
def case_settings(wildcards):
    if wildcards.case not in CASES:
        refuse(f"{shown_path(GRID_FILE)}: no case {wildcards.case!r}{nearest(wildcards.case, CASES)}")
    if wildcards.case in WITHOUT_CHECKPOINT:
        refuse(of_no_checkpoint(shown_path(GRID_FILE), wildcards.case, WITHOUT_CHECKPOINT[wildcards.case]))
    return CASES[wildcards.case]


@asked_for_each_case
def case_identity(wildcards):
    case_settings(wildcards)
    return IDENTITIES[wildcards.case]


@asked_for_each_case
def expected_of_case(wildcards):
    """What the trace of a case must have been measured with, as for `tabulate` of all cases."""
    case_settings(wildcards)
    sha256 = {wildcards.case: CASE_SHA256[wildcards.case]}
    return {"case_sha256": sha256, "measure": MEASURE_DIGEST, "env": MEASURE_ENV_DIGEST}


@asked_for_each_case
def times_failed(wildcards):
    return FAILURES[wildcards.case].failed_attempts if wildcards.case in FAILURES else 0


def case_traces(wildcards):
    return [f"results/traces/{case}.json" for case in CASES]


def compared_traces(wildcards):
    if not BASELINE_FILES:
        refuse("compare: no baseline; allowed: --config baseline=PATH")
    return case_traces(wildcards)

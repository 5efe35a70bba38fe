import os
from functools import cache

from snakemake.settings.types import SharedFSUsage

from wanbench.cases.case import Case
from wanbench.measure.failures import last_good_trace
from wanbench.estimate.resources import TO_RECORD_A_LOST_ATTEMPT, Earlier, resources_of
from wanbench.trace.writer import read_head

# A case that is measured takes one of these, and a job that would disturb it takes all. The limit is set here and not
# in a profile, since `--resources gpu=4` takes the place of every limit in a profile. On a cluster it binds nothing.
UNDISTURBED = 1000
workflow.global_resources.setdefault("undisturbed", UNDISTURBED)


# On a cluster, what is wrong is said where the run was started, and no job has to fail for it.
localrules:
    compare,
    outcome,
    plan,


# The rest takes seconds and no GPU, and is worth no job. But without a shared file system it is one, since the machine
# where the run was started need not have the software.
if SharedFSUsage.INPUT_OUTPUT in workflow.storage_settings.shared_fs_usage:

    localrules:
        comparison,
        gallery,
        page,
        page_reference,
        plot_case,
        plot_case_reference,
        plot_grid,
        plot_grid_reference,
        report,
        report_reference,
        tabulate,
        tabulate_reference,


resource_scopes:
    undisturbed="local",


def earlier_attempt(name):
    """The last good trace under a case's name, and what it was measured with; None for one of another version."""
    head = read_head(last_good_trace(Path("results"), name))
    try:
        return head and Earlier(Case.from_settings(head["case"]), head["total_duration_s"])
    except (KeyError, TypeError):
        return None


# Snakemake asks for each resource on its own.
@cache
def asked_resources(name, attempt):
    """What a job asks a scheduler for. Snakemake's second try at a case measures nothing."""
    if attempt > 1:
        return TO_RECORD_A_LOST_ATTEMPT
    last_failure = FAILURES[name].status if name in FAILURES else None
    return resources_of(Case.from_settings(CASES[name]), earlier_attempt(name), last_failure)


@asked_for_each_case
def asked_gpus(wildcards, attempt):
    return asked_resources(wildcards.case, attempt).gpus


@asked_for_each_case
def asked_mem_mb(wildcards, attempt):
    return asked_resources(wildcards.case, attempt).mem_mb


@asked_for_each_case
def asked_runtime_min(wildcards, attempt):
    return asked_resources(wildcards.case, attempt).runtime_min


@asked_for_each_case
def asked_cpus(wildcards, attempt):
    # Stock diffusers exports, moves and compiles on all cores that it may use, and nodes commonly have as many a GPU.
    return 8 * CASES[wildcards.case]["gpus"]


@asked_for_each_case
def gpus_of_case(wildcards):
    return case_settings(wildcards)["gpus"]


@asked_for_each_case
def attempt_number(wildcards, attempt):
    return attempt


if workflow.remote_exec or workflow.resource_settings.nodes is not None:
    ASKED = {
        "gpu": asked_gpus,
        "mem_mb": asked_mem_mb,
        "runtime": asked_runtime_min,
        # Only Slurm reads it.
        "cpus_per_task": asked_cpus,
        # Slurm ends a job after its `runtime`.
        "ends_in_time": int(workflow.remote_exec and "SLURM_JOB_ID" in os.environ),
    }
else:
    # Nobody is asked on one machine, where for 10,000 cases Snakemake would take two seconds more to plan; and one number
    # for all is no function that it asks for each.
    SEVERAL_GPUS = any(case["gpus"] > 1 for case in CASES.values())
    ASKED = {"gpu": gpus_of_case if SEVERAL_GPUS else 1, "ends_in_time": 0}

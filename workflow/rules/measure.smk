from dataclasses import asdict
from functools import cache

from wanbench.cases.case import Case
from wanbench.cases.messages import of_no_checkpoint
from wanbench.cases.schema import nearest
from wanbench.measure.failures import asked_resources
from wanbench.models.facts import MODELS

WITHOUT_CHECKPOINT = {case.name: case.checkpoint for case in RESOLVED if case.needs_writing}
# Slurm ends a job after its `runtime`. An internal of Snakemake: in an interactive session there is a Slurm job as well.
config["job_ends_in_time"] = workflow.remote_exec and "SLURM_JOB_ID" in os.environ
# A case that is measured takes one of these, and a job that would disturb it all. An internal of Snakemake: a limit in
# a profile would be gone with `--resources gpu=4`.
UNDISTURBED = 1000
workflow.global_resources.setdefault("undisturbed", UNDISTURBED)


# On a cluster it binds nothing.
resource_scopes:
    undisturbed="local",


def case_settings(wildcards):
    if wildcards.case not in CASES:
        refuse(f"{GRID_FILE}: no case {wildcards.case!r}{nearest(wildcards.case, CASES)}")
    if wildcards.case in WITHOUT_CHECKPOINT:
        refuse(of_no_checkpoint(GRID_FILE, wildcards.case, WITHOUT_CHECKPOINT[wildcards.case]))
    return CASES[wildcards.case]


def failed_attempts(wildcards):
    """Counts up with every failed attempt, so that the next run tries the case again."""
    return FAILURES[wildcards.case].failed_attempts if wildcards.case in FAILURES else 0


@cache
def resources_of_attempt(case, attempt):
    asked = asked_resources(Path("results"), Case.from_settings(CASES[case]), FAILURES.get(case), attempt)
    # Stock diffusers exports, moves and compiles on all cores that it may use, and nodes commonly have as many a GPU.
    return asdict(asked) | {"cpus": 8 * CASES[case]["gpus"], "attempt": attempt}


def asked(resource):
    def ask(wildcards, attempt):
        return resources_of_attempt(wildcards.case, attempt)[resource]

    return ask


rule measure:
    output:
        trace="results/traces/{case}.json",
    log:
        "logs/measure/{case}.log",
    conda:
        "../../envs/measure.yaml"
    resources:
        gpu=asked("gpus"),
        mem_mb=asked("mem_mb"),
        runtime=asked("runtime_min"),
        cpus_per_task=asked("cpus"),
        attempt=asked("attempt"),
        undisturbed=1,
    params:
        case=case_settings,
        measure_digest=EXPECTED["measure"],
        env_digest=MEASURE_ENV,
        failed_attempts=failed_attempts,
    script:
        "../scripts/measure_case.py"


rule checkpoint:
    output:
        directory("results/checkpoints/{scale}/{model}"),
    log:
        "logs/checkpoint/{scale}/{model}.log",
    wildcard_constraints:
        scale="full|tiny",
        model="|".join(MODELS),
    conda:
        "../../envs/measure.yaml"
    resources:
        gpu=1,
        undisturbed=UNDISTURBED,
    script:
        "../scripts/write_checkpoint.py"


# No output, so that `snakemake plan` says every time what the grid needs as it is now.
rule plan:
    log:
        "logs/plan.log",
    conda:
        "../../envs/report.yaml"
    params:
        cases=list(CASES.values()),
    script:
        "../scripts/print_plan.py"

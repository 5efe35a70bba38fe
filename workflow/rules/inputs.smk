# What rules ask for: of a case, and of a folder, which is `results`, or results/reference/MACHINE with kept traces.
from wanbench.cases.messages import of_no_checkpoint
from wanbench.cases.schema import nearest
from wanbench.estimate.gpu_facts import known_gpus
from wanbench.measure.failures import asked_resources
from wanbench.models.facts import MODELS

CASE_TRACES = expand("results/traces/{case}.json", case=CASES)
# Slurm ends a job after its `runtime`. An internal of Snakemake: in an interactive session there is a Slurm job as well.
config["job_ends_in_time"] = workflow.remote_exec and "SLURM_JOB_ID" in os.environ


def case_identity(wildcards):
    """What of a case counts: only what differs from a neutral value, so that a new setting measures nothing again."""
    check_writable()
    if wildcards.case not in CASES:
        refuse(f"{GRID_FILE}: no case {wildcards.case!r}{nearest(wildcards.case, CASES)}")
    case = CASES[wildcards.case]
    if case.needs_writing:
        refuse(of_no_checkpoint(GRID_FILE, case.name, case.checkpoint))
    return case.identity()


def failed_attempts(wildcards):
    """Counts up with every failed attempt, so that the next run tries the case again."""
    return FAILURES[wildcards.case].failed_attempts if wildcards.case in FAILURES else 0


@cache
def needs(case, attempt):
    return asked_resources(Path("results"), CASES[case], FAILURES.get(case), attempt)


def made_with(script):
    return {"code_digest": code_digest(SCRIPTS / script), "env_digest": REPORT_ENV}


def traces(wildcards):
    check_writable()
    kept = sorted(str(file) for file in Path(wildcards.folder, "traces").glob("*.json.gz"))
    if not kept and wildcards.folder != "results":
        refuse(f"{wildcards.folder}/traces: no traces; allowed: a folder with *.json.gz files")
    return CASE_TRACES if wildcards.folder == "results" else kept


def tabulated(wildcards):
    """Traces, and what there is beside them: profiles, which no report asks for; of kept ones their grid and fidelity."""
    folder, kept = Path(wildcards.folder), wildcards.folder != "results"
    profiles = sorted((folder / "kernels").glob("*.json.gz" if kept else "*.json"))
    profiles = [str(file) for file in profiles if kept or file.stem in CASES]
    beside = {file.stem: str(file) for file in (folder / "grid.yaml", folder / "fidelity.csv") if file.exists()}
    return {"traces": traces(wildcards), "profiles": profiles} | beside


def of_grid(wildcards):
    """What traces must have been measured with, and those of no case; None for traces that stand for themselves."""
    return {"expected": value_digest(EXPECTED), "others": OTHER_TRACES} if wildcards.folder == "results" else None


def asked_gpu(wildcards):
    return GPU or refuse(f"predict: no GPU; allowed: --config gpu=NAME, of {', '.join(known_gpus())}")


def shown(file, category, **labels):
    """A file for `snakemake --report`, with the caption of its name."""
    return report(file, f"../report/{Path(file).stem}.rst", category, labels=labels)


def compared_traces(wildcards):
    check_writable()
    return CASE_TRACES if BASELINE_FILES else refuse("compare: no baseline; allowed: --config baseline=PATH")


def tune_options(wildcards):
    check_writable()
    return OPTIONS


wildcard_constraints:
    case="[A-Za-z0-9_][A-Za-z0-9_.+-]*",
    folder="results(/reference/[A-Za-z0-9_][A-Za-z0-9_.+-]*)?",
    model="|".join(MODELS),

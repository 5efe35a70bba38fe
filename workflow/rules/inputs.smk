# What rules ask for: of a case, and of a folder, which is `results`, or results/reference/MACHINE with traces that were
# measured elsewhere and are kept.

from dataclasses import asdict
from functools import cache

from wanbench.cases.messages import of_no_checkpoint
from wanbench.cases.schema import nearest
from wanbench.estimate.gpu_facts import known_gpus
from wanbench.measure.failures import asked_resources

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
def resources_of_attempt(case, attempt):
    asked = asked_resources(Path("results"), CASES[case], FAILURES.get(case), attempt)
    # Stock diffusers exports, moves and compiles on all cores that it may use, and nodes commonly have as many a GPU.
    return asdict(asked) | {"cpus": 8 * CASES[case].gpus, "attempt": attempt}


def asked(resource):
    def ask(wildcards, attempt):
        return resources_of_attempt(wildcards.case, attempt)[resource]

    return ask


# Beside kept traces there can be their grid, which may have cases without any, and their figures of fidelity.
KEPT_BESIDE = {"grid": "grid.yaml", "fidelity": "fidelity.csv"}
CASE_TRACES = expand("results/traces/{case}.json", case=CASES)


def made_with(script):
    return {"code_digest": code_digest(SCRIPTS / script), "env_digest": REPORT_ENV}


def shown(file, category, **labels):
    """A file for `snakemake --report`, with the caption of its name."""
    return report(file, f"../report/{Path(file).stem}.rst", category, labels=labels)


def traces(wildcards):
    check_writable()
    if wildcards.folder == "results":
        return CASE_TRACES
    kept = sorted(str(file) for file in Path(wildcards.folder, "traces").glob("*.json.gz"))
    if not kept:
        refuse(f"{wildcards.folder}/traces: no traces; allowed: a folder with *.json.gz files")
    return kept


def profiles(wildcards):
    """The profiles that there are: a report does not ask for any."""
    kept = wildcards.folder != "results"
    files = sorted(Path(wildcards.folder, "kernels").glob("*.json.gz" if kept else "*.json"))
    return [str(file) for file in files if kept or file.stem in CASES]


def tabulated(wildcards):
    found = {"traces": traces(wildcards), "profiles": profiles(wildcards)}
    kept = {name: Path(wildcards.folder, file) for name, file in KEPT_BESIDE.items()}
    return found | {name: [str(file)] for name, file in kept.items() if file.exists()}


def of_grid(wildcards):
    """What traces must have been measured with, and those of no case; None for traces that stand for themselves."""
    return {"expected": value_digest(EXPECTED), "others": OTHER_TRACES} if wildcards.folder == "results" else None


def compared_traces(wildcards):
    check_writable()
    if not BASELINE_FILES:
        refuse("compare: no baseline; allowed: --config baseline=PATH")
    return CASE_TRACES


def asked_gpu(wildcards):
    return GPU or refuse(f"predict: no GPU; allowed: --config gpu=NAME, of {', '.join(known_gpus())}")


def tune_options(wildcards):
    check_writable()
    return OPTIONS


# Internals of Snakemake: runs in a folder of their own are to be as this one. A lock of ours keeps a second tuning off.
def snakemake_options(wildcards):
    options = ["--snakefile", str(Path(workflow.basedir, "Snakefile")), "--cores", "1", "--nolock"]
    options += ["--resources", f"gpu={OPTIONS.get('gpus', 1)}"]
    if config["software_deployment"] == "conda":
        prefix = Path(workflow.deployment_settings.conda_prefix or RECORDS / "conda").absolute()
        options += ["--sdm", "conda", "--conda-prefix", str(prefix)]
    return options

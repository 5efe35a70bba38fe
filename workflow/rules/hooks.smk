# What a run says and checks beside its jobs, where it was started.

import atexit
from importlib.util import find_spec

from wanbench.cases.messages import of_failed_case, of_no_case
from wanbench.cases.scale import is_full_scale
from wanbench.cases.messages import of_no_gpu
from wanbench.trace.writer import read_head


def warn(message):
    print(f"Warning: {visible(message)}", file=sys.stderr)


def gpu_is_missing():
    """No GPU is seen here; False as well where it cannot be known."""
    # With conda, what runs Snakemake need not have the module.
    if find_spec("pynvml") is None:
        return False
    from wanbench.telemetry.gpus import usable_gpus

    try:
        return not usable_gpus(os.environ)
    except InputError:
        return False


def jobs_run_here():
    """Not on a cluster. Known once rules have been read."""
    # A dry run has an executor of its own, and threads where the one in whose place it stands runs no job here.
    imitates_cluster = workflow.dryrun and workflow.execution_settings.use_threads
    return workflow.local_exec and not imitates_cluster


def cases_without_gpu():
    """Names of cases that are about to be measured on this machine, and need a GPU that it does not have."""
    if workflow.touch or not jobs_run_here():
        return []
    # After a dry run all jobs count as finished.
    jobs = workflow.dag.needrun_jobs(exclude_finished=False)
    measured = {job.wildcards.case for job in jobs if job.rule.name == "measure"}
    full_scale = sorted(case.name for case in RESOLVED if case.name in measured and is_full_scale(case))
    return full_scale if full_scale and gpu_is_missing() else []


def warn_of_cases_without_gpu():
    if workflow.dryrun and workflow.dag is not None and (cases := cases_without_gpu()):
        warn(of_no_gpu(cases))


def failed_in_this_run():
    """A line for each case of the grid whose attempt in this run failed, as rule outcome says it."""
    lines = []
    for name, failure in sorted(failures(Path("results")).items()):
        if failure.run_id == config["run_id"] and name in CASES:
            error = (read_head(Path(f"results/traces/{name}.json")) or {}).get("error") or {}
            stage, error_type = error.get("stage_reached"), error.get("type")
            lines.append(
                of_failed_case(name, failure.status, stage, error_type, str(failure.message), config["results_in"])
            )
    return lines


if workflow.is_main_process:
    if OTHER_TRACES:
        warn(of_no_case(OTHER_TRACES, shown_path(GRID_FILE), config["results_in"]))
    # For a dry run Snakemake calls no hook, and which cases will be measured is not known before.
    atexit.register(warn_of_cases_without_gpu)


# Not in a dry run.
onstart:
    written = [
        "results",
        *(f"results/{name}" for name in ("traces", "attempts", "videos", "last_good", "failures")),
        "logs",
    ]
    unwritable = [path for path in written if Path(path).exists() and not os.access(path, os.W_OK)]
    if unwritable:
        sys.exit(f"{', '.join(unwritable)}: cannot be written to (permissions, or a read-only file system)")
    # On a cluster it is the node that needs a GPU, and there a job runs Snakemake again.
    without_gpu = cases_without_gpu() if workflow.is_main_process else []
    if without_gpu:
        sys.exit(visible(f"Nothing was started: {of_no_gpu(without_gpu)}"))


# Where rule outcome has no part in the run, such as of one case, or of a comparison.
onsuccess:
    failed = failed_in_this_run() if workflow.is_main_process else []
    if failed:
        sys.exit("\n".join(["All that was asked for is made, but:", *failed]))

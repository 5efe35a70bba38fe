# What a run says and checks beside its jobs, where it was started.

from importlib.util import find_spec

from wanbench.faults import of_failed_case, of_no_case
from wanbench.measure.full_scale import is_full_scale
from wanbench.text import one_line
from wanbench.trace.writer import read_head


def warn(message):
    print(f"Warning: {visible(message)}", file=sys.stderr)


def gpu_is_missing():
    """No GPU is seen here; False as well where it cannot be known."""
    # With conda, what runs Snakemake need not have the module.
    if find_spec("pynvml") is None:
        return False
    from wanbench.measure.gpus import usable_gpus

    try:
        return not usable_gpus(os.environ)
    except InputError:
        return False


def failed_in_this_run():
    """A line for each case of the grid whose attempt in this run failed, as rule outcome says it."""
    lines = []
    for name, failure in sorted(failures(Path("results")).items()):
        if failure.run_id == config["run_id"] and name in CASES:
            error = (read_head(Path(f"results/traces/{name}.json")) or {}).get("error") or {}
            stage, error_type = error.get("stage_reached"), error.get("type")
            lines.append(of_failed_case(name, failure.status, stage, error_type, str(failure.message)))
    return lines


if workflow.is_main_process:
    if OTHER_TRACES:
        warn(of_no_case(OTHER_TRACES, shown_path(GRID_FILE)))
    # How a case that was tried before ended is known, and to look into its trace would take long for many cases.
    TRIED = TRACED.union(FAILURES)
    UNTRIED = sorted(case.name for case in RESOLVED if case.name not in TRIED and is_full_scale(case))
    if UNTRIED and workflow.resource_settings.nodes is None and gpu_is_missing():
        cases = one_line(", ".join(UNTRIED))
        warn(f"full scale needs a GPU, and NVML knows of none that may be used here. Cases: {cases}")


# Not in a dry run.
onstart:
    written = [
        "results",
        *(f"results/{name}" for name in ("traces", "work", "videos", "last_good", "failures")),
        "logs",
    ]
    unwritable = [path for path in written if Path(path).exists() and not os.access(path, os.W_OK)]
    if unwritable:
        sys.exit(f"{', '.join(unwritable)}: cannot be written to (permissions, or a read-only file system)")


# Where rule outcome has no part in the run, such as of one case, or of a comparison.
onsuccess:
    failed = failed_in_this_run() if workflow.is_main_process else []
    if failed:
        sys.exit("\n".join(["All that was asked for is made, but:", *failed]))

# What a run says and checks beside its jobs, where it was started: jobs on other machines have no hooks.
from snakemake.exceptions import WorkflowError

from wanbench.cases.messages import of_no_case, of_no_gpu, of_no_records
from wanbench.cases.project_folder import problem_of_writing, share_records
from wanbench.cases.scale import is_full_scale
from wanbench.estimate.machine import this_machine
from wanbench.measure.failures import failed_in_run

TRACED = sorted(Path("results/traces").glob("*.json"))
OTHER_TRACES = [str(file) for file in TRACED if file.stem not in CASES]
if TRACED and not any(RECORDS.glob("metadata/*")):
    print(f"Warning: {of_no_records()}", file=sys.stderr)
if OTHER_TRACES:
    print(f"Warning: {visible(of_no_case(OTHER_TRACES, GRID_FILE))}", file=sys.stderr)
# Not in onsuccess: after that, Snakemake deletes the folder of locks.
atexit.register(share_records, RECORDS)


@cache
def check_writable():
    """Where functions of rules are called, it is known whether this is a dry run, which writes next to nothing."""
    problem = problem_of_writing([".snakemake", "results", "logs"])
    if problem and not workflow.dryrun:
        refuse(problem)
    if problem:
        # An internal of Snakemake, which would keep there what a dry run saw of files.
        workflow.persistence.iocache_path = str(workflow.snakemake_tmp_dir)


# Internals of Snakemake: only its plan knows which cases will be measured, and whether here. Were that found out in
# their jobs, each good trace would be replaced by that of a failure.
onstart:
    if workflow.local_exec and not workflow.touch:
        measured = {job.wildcards.case for job in workflow.dag.needrun_jobs() if job.rule.name == "measure"}
        large = sorted(name for name in measured if is_full_scale(CASES[name]))
        machine = this_machine(os.environ) if large else None
        if machine and (machine.gpus == () or machine.fails):
            raise WorkflowError(visible(f"Nothing was started: {of_no_gpu(large, machine.no_answer)}"))


# Where rule outcome has no part in the run, such as of one case, or of a comparison.
onsuccess:
    if failed := failed_in_run(Path("results"), CASES, config["run_id"]):
        raise WorkflowError(visible("\n".join(["All that was asked for is made, but:", *failed])))

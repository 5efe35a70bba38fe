"""What tells the leavings of a job that this run of Snakemake lost from those of an earlier run."""

import os
from uuid import uuid4

_VARIABLE = "WANBENCH_RUN_ID"


def run_id(begins_here: bool) -> str:
    """The identity of the run that this process belongs to.

    Jobs on other machines inherit it: Slurm's plugin hands on the environment. A pod inherits nothing, and finds
    nothing of what others left.

    Args:
        begins_here: this process is what the user started.
    """
    if begins_here or _VARIABLE not in os.environ:
        os.environ[_VARIABLE] = uuid4().hex
    return os.environ[_VARIABLE]

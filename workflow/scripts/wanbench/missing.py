"""What a run or a plan says of cases that need more than the machine has."""

from collections.abc import Sequence

_MOST_NAMED = 3


def a_few(names: Sequence[str]) -> str:
    """The names of a few cases, and how many more there are."""
    named = ", ".join(names[:_MOST_NAMED])
    more = len(names) - _MOST_NAMED
    return f"{named} and {more} more" if more > 0 else named


def of_no_checkpoint(file: str, name: str, checkpoint: str) -> str:
    """One line for a case that is to load what this project writes, and has not written yet."""
    return (
        f'{file}: case {name!r}: checkpoint: "{checkpoint}" is not there yet; allowed: a folder that exists '
        f"(`snakemake --cores 1 {checkpoint}` writes it)"
    )


def of_no_gpu(names: Sequence[str]) -> str:
    """One line for cases that cannot be measured here: which, what is missing, and what can be done.

    Args:
        names: of one case or more.
    """
    need = "1 case needs a GPU" if len(names) == 1 else f"{len(names)} cases need a GPU"
    return (
        f"{need}, and NVML knows of none that may be used here: {a_few(names)}. Where this machine has one, "
        "`nvidia-smi -L` must list it and CUDA_VISIBLE_DEVICES allow it; else measure them on a machine that has one "
        "or on a cluster (README.md, 'On a cluster'), or leave them out of the grid: cases with scale: tiny need none"
    )

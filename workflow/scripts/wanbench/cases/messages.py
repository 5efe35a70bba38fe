"""What a run says of cases that failed or lack something, and of traces of no case."""

import shlex
from collections.abc import Iterable, Sequence

from wanbench.util.text import one_line

# Traces of cases that the grid does not have now can wait here, where nothing reads them.
_ASIDE = "results/aside/traces"


def of_failed_case(case: str, status: str, stage: str | None, error_type: str | None, message: str) -> str:
    """One line that names a case, what happened to it and where its log is."""
    where = f" in {stage}" if stage else ""
    said = one_line(f"{error_type}: {message}" if error_type else message)
    return f"{case}: {status}{where}: {said} (logs/measure/{case}.log)"


def of_no_case(files: Iterable[str], grid: str) -> str:
    """One line that names traces of cases that the grid does not have, and says what to do."""
    listed = shlex.join(one_line(file) for file in files)
    return (
        f"{grid} has no cases for these traces, so they are excluded. Put the cases back, delete what they left "
        "(docs/reruns.md), or keep the traces for another grid (moved back for it, they are "
        f"not measured again): mkdir -p {_ASIDE} && mv -n {listed} {_ASIDE}"
    )


def of_no_records() -> str:
    """One line for traces of which Snakemake does not know what made them."""
    return (
        "results/traces has traces, and .snakemake has no record of them, so a changed case is NOT measured again by "
        "itself; the report names the traces that are not of their case. `--forcerun measure` measures all again"
    )


def a_few(names: Sequence[str]) -> str:
    """The names of a few cases, and how many more there are."""
    named = ", ".join(names[:3])
    return f"{named} and {len(names) - 3} more" if len(names) > 3 else named


def of_no_checkpoint(file: str, name: str, checkpoint: str) -> str:
    """One line for a case that is to load what this project writes, and has not written yet."""
    return (
        f'{file}: case {name!r}: checkpoint: "{checkpoint}" is not there yet; allowed: a folder that exists '
        f"(`snakemake --cores 1 {checkpoint}` writes it)"
    )


def of_no_gpu(names: Sequence[str], why: str = "") -> str:
    """One line for cases that cannot be measured here; `why` is what NVML or CUDA_VISIBLE_DEVICES says."""
    need = "1 case needs a GPU" if len(names) == 1 else f"{len(names)} cases need a GPU"
    if why:
        return f"{need} ({a_few(names)}), and none can be used here: {one_line(why)}"
    return (
        f"{need}, and NVML knows of none that may be used here: {a_few(names)}. Where this machine has one, "
        "`nvidia-smi -L` must list it and CUDA_VISIBLE_DEVICES allow it; else measure them on a machine that has one "
        "or on a cluster (docs/slurm.md), or leave them out of the grid: cases with scale: tiny need none"
    )

"""Short names for the GPUs of a report, where there are several."""

from collections.abc import Mapping

import pandas as pd

from wanbench.analysis.numbers import plain


def gpu_letters(cases: pd.DataFrame) -> dict[str, str]:
    """A, B and so on by UUID, in the order of the cases table; empty where no two GPUs need telling apart."""
    uuids = list(dict.fromkeys(cases["gpu_uuid"].dropna()))
    return {uuid: _letters(i) for i, uuid in enumerate(uuids)} if len(uuids) > 1 else {}


def _letters(index: int) -> str:
    """As a spreadsheet's columns: A to Z, then AA."""
    more, last = divmod(index, 26)
    return (_letters(more - 1) if more else "") + chr(ord("A") + last)


def gpus_named(letters: Mapping[str, str]) -> str:
    """Which GPU each letter stands for, in words."""
    return ", ".join(f"GPU {letter} is {plain(uuid)}" for uuid, letter in letters.items())

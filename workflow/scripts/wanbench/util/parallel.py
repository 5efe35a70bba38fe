"""The same work on many files, in several processes."""

import os
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor
from typing import Any

from wanbench.util.lifeline import end_with


def map_in_processes(function: Callable[..., Any], *arguments: Iterable[Any], processes: int) -> list[Any]:
    """As `list(map(function, *arguments))`."""
    if processes == 1:
        return list(map(function, *arguments))
    # A pool's processes wait for each other's work for ever when the one that made them was killed.
    with ProcessPoolExecutor(processes, initializer=end_with, initargs=(os.getpid(),)) as pool:
        return list(pool.map(function, *arguments))

"""What the sampler can read from: one small interface for host and GPU."""

from typing import Protocol


class Source(Protocol):
    """A set of metrics that are read together.

    Keys of a reading carry their unit: `_pct`, `_bytes`, `_w`, `_j`, `_mhz`, `_c`, `_ns`. A metric that could not be
    read is excluded of the reading; a reading never holds a guess.
    """

    def read(self) -> dict[str, float]:
        """One reading. Rates and shares cover the time since the last one; the first reading has none."""
        ...

    def close(self) -> None: ...

"""The stage clock: begin and end of every stage, written down as they happen.

    synchronise      synchronise        synchronise
        |  stage A       |  stage B         |
        t0               t1                 t2        one clock reading per boundary, shared by both stages

A boundary is a device synchronisation and then a reading of the monotonic clock, so that work queued on the device
belongs to the stage that queued it.
"""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wanbench.util.event_log import EventLog
from wanbench.util.intervals import Interval


@dataclass
class _OpenSpan:
    number: int
    kind: str
    args: dict[str, Any] = field(default_factory=dict)
    peaks_bytes: dict[str, int] = field(default_factory=dict)


class StageClock:
    """Keeps the stack of open spans and writes their boundaries to the event log.

    Spans nest. Kinds: `stage` (a row of the report), `step` (a denoising step, later split into loading and
    inference), `detail` (a part of a stage).

    Attributes:
        synchronise: waits until the device has finished what it was given; nothing for a CPU.
        take_peak: highest memory use of the device since it was last asked, in bytes, by measure; empty for a device
            without a memory of its own.
    """

    def __init__(
        self, log: EventLog, synchronise: Callable[[], None] = lambda: None, take_peak: Callable[[], dict] = dict
    ) -> None:
        self._log = log
        self.synchronise = synchronise
        self.take_peak = take_peak
        self._open: list[_OpenSpan] = []
        self._count = 0
        self._at_boundaries: list[Callable[[], None]] = []

    @classmethod
    def silent(cls) -> "StageClock":
        """A clock that writes nothing down, for what is not measured."""
        return cls(EventLog(Path(os.devnull)))

    def now_ns(self) -> int:
        """Monotonic time in nanoseconds, once the device has finished what it was given."""
        self.synchronise()
        for write in self._at_boundaries:
            write()
        return time.monotonic_ns()

    @contextmanager
    def at_boundaries(self, write: Callable[[], None]) -> Iterator[None]:
        """Call `write` at each boundary inside the block, with the device idle and the span before it still open."""
        self._at_boundaries.append(write)
        yield
        self._at_boundaries.remove(write)

    def begin(self, name: str, kind: str = "stage", at_ns: int | None = None, **args: Any) -> None:
        """Begin a span, now or at a boundary that was read."""
        at_ns = at_ns or self.now_ns()
        self._credit_peaks()
        self._count += 1
        self._open.append(_OpenSpan(self._count, kind))
        self.note("begin", span=self._count, name=name, kind=kind, time_ns=at_ns, args=args)

    def end(self, at_ns: int | None = None, **args: Any) -> None:
        """End the innermost open span, now or at a boundary that was read."""
        at_ns = at_ns or self.now_ns()
        self._credit_peaks()
        span = self._open.pop()
        self.note("end", span=span.number, time_ns=at_ns, args=span.args | args | span.peaks_bytes)

    def next(self, name: str, kind: str = "stage", **args: Any) -> None:
        """End the innermost open span and begin another at the same instant."""
        now_ns = self.now_ns()
        self.end(now_ns)
        self.begin(name, kind, now_ns, **args)

    def annotate(self, **args: Any) -> None:
        """Add arguments to the innermost open span; they are written at its end."""
        self._open[-1].args |= args

    def count_in_step(self, measure: str, count: int) -> None:
        """Add to a measure of the step that is open."""
        step = next(span for span in reversed(self._open) if span.kind == "step")
        step.args[measure] = step.args.get(measure, 0) + count

    @contextmanager
    def span(self, name: str, kind: str = "stage", **args: Any) -> Iterator[None]:
        """A span around a block. A block that raises leaves it open: the trace shows where it stopped."""
        self.begin(name, kind, **args)
        yield
        self.end()

    def abandon(self) -> None:
        """Write the peaks of the spans that a failure leaves open: out of memory is when they matter most."""
        self._credit_peaks()
        for span in self._open:
            self.note("peaks", span=span.number, args=span.peaks_bytes)

    def transfers(self, intervals: list[Interval], count: int, direction: str, module: str, size_bytes: int) -> None:
        """Record when the device could not compute for `count` weight transfers, of `size_bytes` together."""
        span, about = self._open[-1].number if self._open else None, {"transfers": count, "bytes": size_bytes}
        self.note("transfers", span=span, intervals=intervals, direction=direction, module=module, **about)

    def note(self, record: str, **values: Any) -> None:
        """Write a record of another kind, such as the environment."""
        self._log.write({"record": record, **values})

    def _credit_peaks(self) -> None:
        """The device keeps one peak and it is reset here, so every open span must be given its share."""
        for measure, peak_bytes in self.take_peak().items():
            for span in self._open:
                span.peaks_bytes[measure] = max(peak_bytes, span.peaks_bytes.get(measure, 0))

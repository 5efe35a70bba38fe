"""GPM's latches: the instants that its values lie between."""

from dataclasses import dataclass

from wanbench.telemetry.gpm import PERIOD_S

PERIOD_NS = round(PERIOD_S * 1e9)


@dataclass(frozen=True)
class Latches:
    """When GPM's counters were latched.

    Attributes:
        one_ns: monotonic time of a latch, in nanoseconds; all others are whole periods away.
        youngest_ns: age that a latch must have to be published, in nanoseconds.
    """

    one_ns: int
    youngest_ns: int

    def last_ns(self, published_ns: int) -> int:
        """When the latch was made that was published then."""
        return self.one_ns + (published_ns - self.youngest_ns - self.one_ns) // PERIOD_NS * PERIOD_NS

"""A clock for tests, in the place of the module `time`."""


class Clock:
    """Moves by what is slept alone, however busy the machine is."""

    now_ns = 0

    def monotonic_ns(self) -> int:
        return self.now_ns

    def monotonic(self) -> float:
        return self.now_ns / 1e9

    def sleep(self, time_s: float) -> None:
        self.now_ns += round(time_s * 1e9)

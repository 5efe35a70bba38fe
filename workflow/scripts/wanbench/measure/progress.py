"""Lines that tell someone at a terminal, or reading a log, how far a case is."""

import statistics
from typing import Any

from wanbench.registry import stages as stage_names


class Progress:
    """Turns the records of a measuring process into lines; a step's line says how long the rest will take."""

    def __init__(self, case_name: str) -> None:
        self._case_name = case_name
        self._open: dict[int, dict[str, Any]] = {}
        self._inner_ns: dict[int, int] = {}
        self._steps_s: list[float] = []

    def line(self, record: dict[str, Any]) -> str | None:
        """The line for a record, or None for records that nobody needs to read."""
        if record["record"] == "generation" and record["number"] > 0:
            self._steps_s.clear()
            return f"[{self._case_name}] generation {record['number'] + 1}"
        if record["record"] == "begin" and record["kind"] in ("stage", "step"):
            self._open[record["span"]] = record
        if record["record"] == "end" and record["span"] in self._open:
            begin = self._open.pop(record["span"])
            return f"[{self._case_name}] {self._text(begin, record['time_ns'])}"
        return None

    def _text(self, begin: dict[str, Any], end_ns: int) -> str:
        name, args, lasted_ns = begin["name"], begin["args"], end_ns - begin["time_ns"]
        own_ns = lasted_ns - self._inner_ns.pop(begin["span"], 0)
        outer = max(self._open, default=None)
        if outer is not None and self._open[outer]["name"] != stage_names.TOTAL_EXECUTION:
            self._inner_ns[outer] = self._inner_ns.get(outer, 0) + lasted_ns
        if "step" not in args:
            return f"{name}: {own_ns / 1e9:.2f} s"
        self._steps_s.append(own_ns / 1e9)
        # The first step is slow (caches, autotuning), so it does not count in the estimate once there are others.
        typical_s = statistics.median(self._steps_s[1:] or self._steps_s)
        left = args["steps"] - args["step"] - 1
        rest = f", about {_duration(left * typical_s)} of denoising left" if left else ""
        return f"{name} ({args['step'] + 1}/{args['steps']}): {own_ns / 1e9:.2f} s{rest}"


def starting(case_name: str) -> str:
    return f"[{case_name}] {stage_names.PROCESS_STARTUP} begins"


def _duration(time_s: float) -> str:
    if time_s < 60:
        return f"{time_s:.0f} s"
    minutes = round(time_s / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes // 60} h {minutes % 60:02d} min"

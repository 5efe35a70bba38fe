"""In what a printed report contradicts itself, or says less than it seems to: rules as data and pure functions.

Each rule looks at one case and says what it found, or None. They are what the reference report was seen to get wrong.
"""

import re
import statistics
from collections.abc import Callable, Sequence

from wanbench.report.compare.printed import NAMELESS, PrintedCase, PrintedStage
from wanbench.trace import names

Rule = Callable[[PrintedCase, Sequence[PrintedCase]], str | None]

# Steps do the same work; on a GPU of one's own they differ by a few percent.
_STEADY = 1.5
# More of the time than this belongs to no stage.
_NAMELESS_SHARE = 0.01


def notes_of(cases: Sequence[PrintedCase], head: str) -> list[str]:
    """One line for each rule that found something, with the cases that it found it in.

    A report that names its hardware is one of ours: it has n/a for what was not measured, and 0 for zero.
    """
    if "**GPU**" in head:
        return []
    lines = []
    for rule, meaning in _RULES.items():
        found = [f"{case.name} ({detail})" for case in cases if (detail := rule(case, cases)) is not None]
        if found:
            lines.append(f"{meaning}: {', '.join(found)}")
    return [*lines, "No hardware, software, frames, seed, prompt or data type is named, so nobody can repeat it"]


def nameless_stages(case: PrintedCase, cases: Sequence[PrintedCase]) -> str | None:
    count = sum(stage.name == NAMELESS for stage in case.stages)
    return f"{count} of {len(case.stages)} stages" if count else None


def zeros(case: PrintedCase, cases: Sequence[PrintedCase]) -> str | None:
    count = sum(0 in (stage.cpu_pct, stage.sys_mem_gb, stage.sm_pct) for stage in case.stages)
    return f"{count} of {len(case.stages)} stages" if count else None


def doubled_load(case: PrintedCase, cases: Sequence[PrintedCase]) -> str | None:
    load = true_load_pct_s(case)
    if load is None or case.load_pct_s == load:
        return None
    return f"{case.load_pct_s:.0f} = {case.load_pct_s - load:.0f} of stages + {load:.0f}, which stands"


def low_utilisation(case: PrintedCase, cases: Sequence[PrintedCase]) -> str | None:
    total = case.stage(names.TOTAL_EXECUTION)
    if "Low overall GPU utilization (0.0%)" not in case.text or total is None or not total.sm_pct:
        return None
    return f"SM activity was {total.sm_pct:.1f} %"


def other_memory_limit(case: PrintedCase, cases: Sequence[PrintedCase]) -> str | None:
    limit = re.search(r"close to (\d+)\s?GB limit", case.text)
    if limit is None or case.mem_gb is None or case.mem_gb <= float(limit[1]):
        return None
    return f"{case.mem_gb:.2f} GB against a limit of {limit[1]} GB"


def other_size(case: PrintedCase, cases: Sequence[PrintedCase]) -> str | None:
    lines = re.search(r"_(\d+)p$", case.name)
    size = re.fullmatch(r"(\d+)\*(\d+)", case.size)
    if lines is None or size is None:
        return None
    # TI2V-5B makes 720p in 704 lines: its sizes are multiples of 32.
    allowed = (int(lines[1]), int(lines[1]) // 32 * 32)
    return None if min(int(size[1]), int(size[2])) in allowed else case.size


def other_offload(case: PrintedCase, cases: Sequence[PrintedCase]) -> str | None:
    """Weights that stay on the GPU take memory: a case without offload peaks higher than the same with it."""
    if case.offload == "Unknown":
        return "Unknown"
    twins = [other for other in cases if other.offload == "True" and other.size == case.size]
    if case.offload == "False" and case.mem_gb and any(other.mem_gb == case.mem_gb for other in twins):
        return f"False, but its peak of {case.mem_gb:.2f} GB is that of cases with offload"
    return None


def step_change(case: PrintedCase, cases: Sequence[PrintedCase]) -> str | None:
    """Another process had the GPU for a part of the time."""
    times = typical_steps_s(case)
    if has_cache(case) or not times or max(times) < _STEADY * min(times):
        return None
    return f"{min(times):.2f} s to {max(times):.2f} s, median {statistics.median(times):.2f} s"


def nameless_time(case: PrintedCase, cases: Sequence[PrintedCase]) -> str | None:
    total = case.stage(names.TOTAL_EXECUTION)
    if total is None or not total.time_s:
        return None
    # The reference report has no start-up apart; ours lies outside of the total.
    leaves_s = sum(stage.time_s or 0.0 for stage in case.stages if stage.name not in names.NOT_LEAVES)
    rest_s = total.time_s - leaves_s
    return f"{rest_s:.2f} s of {total.time_s:.2f} s" if rest_s > _NAMELESS_SHARE * total.time_s else None


_RULES: dict[Rule, str] = {
    nameless_stages: "Stages without a name, at 0.00 s, so nothing of them is used",
    zeros: "0 where nothing was measured (CPU, Sys Mem or SM), read as n/a",
    doubled_load: "Load that counts the stages and their total",
    low_utilisation: "A GPU utilisation of 0.0 % from a load that was not recorded",
    other_memory_limit: "A memory limit that is another GPU's",
    other_size: "A size that is not the name's, read as n/a",
    other_offload: "An offload that nobody knows or that the memory contradicts, read as n/a",
    step_change: "Step time that changes, so the case has no verdict",
    nameless_time: "Time of Total_Execution that no stage has",
}


def true_load_pct_s(case: PrintedCase) -> float | None:
    """Load of `Total_Execution` where the printed one is that and its stages' together, else the printed one.

    Stages' loads are rounded when printed, by at most half a percent-second each.
    """
    if not case.load_pct_s:
        return None
    total = _total(case.stages)
    if total is None or not total.load_pct_s:
        return case.load_pct_s
    leaves = sum(stage.load_pct_s or 0.0 for stage in case.stages if stage is not total)
    doubled = abs(case.load_pct_s - (leaves + total.load_pct_s)) <= 1 + 0.5 * len(case.stages)
    return total.load_pct_s if doubled and leaves else case.load_pct_s


def _total(stages: Sequence[PrintedStage]) -> PrintedStage | None:
    """`Total_Execution`, which is the last row where rows have no names."""
    if stages and stages[-1].name in (names.TOTAL_EXECUTION, NAMELESS):
        return stages[-1]
    return None


def steps_s(case: PrintedCase) -> list[tuple[int, float]]:
    """Number and time of each step, loading and inference together; empty where stages have no names."""
    times: dict[int, float] = {}
    for stage in case.stages:
        index = names.step_index(stage.name)
        if index is not None:
            times[index] = times.get(index, 0.0) + (stage.time_s or 0.0)
    return sorted(times.items())


def has_cache(case: PrintedCase) -> bool:
    """Whether steps are short or long by design; only reports of ours tell."""
    return "**Passes Reused by the Cache**" in case.text


def typical_steps_s(case: PrintedCase) -> list[float]:
    """Times of the steps after the first, without the expert switch where the report tells its time."""
    times = [step_s for index, step_s in steps_s(case) if index > 0]
    switch = re.search(r"\*\*Expert Switch Step\*\*: (\d+\.\d+) s", case.text)
    if switch and times:
        times.remove(min(times, key=lambda step_s: abs(step_s - float(switch[1]))))
    return times

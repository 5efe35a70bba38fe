"""The rows of a case's stages over several generations."""

from pathlib import Path
from typing import Any

from reports import full_case, made, report, tables
from wanbench.trace.reader import Trace

SAMPLED = {"sm_activity_pct": 90.0, "comp_load_pct_s": 45.0, "energy_j": 31.0, "power_w": 132.0}


def without_in(generation: int) -> Any:
    """As a stage near the length of a sampling interval, which was seen in one generation and not in another."""

    def alter(content: dict[str, Any]) -> None:
        for event in (event for event in content["traceEvents"] if event["name"] == "T5_Encoding"):
            if event["args"]["generation"] == generation:
                for measure in (*SAMPLED, "cpu_pct", "sys_mem_bytes"):
                    event["args"].pop(measure, None)

    return alter


def encoding(trace: Trace) -> dict[str, str]:
    return next(row for row in tables(report(trace), "Stage")[0] if row["Stage"] == "T5_Encoding")


def test_a_figure_that_one_of_the_generations_lacks_is_not_that_of_the_others(tmp_path: Path) -> None:
    """As T5_Encoding of 5B_704p_warm: 31 J in the second at a time of 0.10 s between both, which is 300 W of 132."""

    def run(generation: int) -> dict[str, str]:
        case = full_case(steps=3, repeats=3)
        return encoding(made(tmp_path, case, measures={"T5_Encoding": SAMPLED}, alter=without_in(generation)))

    columns = ("Time (s)", "SM Act (%)", "CPU (%)", "Sys Mem (GB)")
    assert [run(1)[column] for column in columns] == ["0.50", *["n/a"] * 3]
    # That of the first does not count.
    assert [run(0)[column] for column in columns] == ["0.50", "90.0", "25.0", "8.00"]

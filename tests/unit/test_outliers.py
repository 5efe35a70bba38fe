"""A generation that took unlike the others is named, and ordinary spread is not."""

from pathlib import Path

from example_cases import tiny_case
from reports import read_back, told
from traces import S, records
from wanbench.trace.reader import Trace


def generations(folder: Path, later_s: list[float]) -> Trace:
    """A run whose generations each take so many seconds longer than the records say; the first one warms up."""
    rows = records([1.0] * 3, generations=len(later_s) + 1, warmup=1)
    delay_s, exports = 0.0, iter([0.0, *later_s])
    for i, row in enumerate(rows):
        if row["record"] == "end" and rows[i - 1].get("name") == "Video_Export":
            delay_s += next(exports)
        if "time_ns" in row:
            row["time_ns"] += round(delay_s * S)
    return read_back(folder, rows, case=tiny_case(warmup=1, repeats=len(later_s)))


def test_a_generation_unlike_the_others_is_named(tmp_path: Path) -> None:
    text = told(generations(tmp_path, [0.0, 0.1, 5.0, 0.2]))
    # Times 7.75, 7.85, 12.75 and 7.95 s: median 7.90, median deviation 0.10.
    assert text.count("Unusual Generation") == 1
    assert "- **Unusual Generation**: number 3 (from 0) took 12.75 s, modified z-score 32.7" in text


def test_ordinary_spread_or_too_few_generations_name_none(tmp_path: Path) -> None:
    for later_s in ([0.0, 0.1, 0.3, 0.2], [0.0, 5.0], [1.0, 1.0, 1.0]):
        assert "Unusual Generation" not in told(generations(tmp_path, later_s))

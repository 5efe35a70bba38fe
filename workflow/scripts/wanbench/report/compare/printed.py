"""A report in the form of the reference report, as it is printed: nothing is corrected here."""

import re
from dataclasses import dataclass
from pathlib import Path

from wanbench.errors import InputError
from wanbench.report.compare.baseline import REPORT_TITLE

SUMMARY = ("Case", "Res", "Offload", "Time(s)", "s/step", "Mem(GB)", "SM(%)", "Load")
STAGES = ("Stage", "Time (s)", "GPU Mem (GB)", "CPU (%)", "Sys Mem (GB)", "SM Act (%)", "Comp Load")
NAMELESS = "Unknown"

_NO_NUMBER = ("", "n/a", "Unknown")
_CASE = "## Case: "


@dataclass(frozen=True)
class PrintedStage:
    """A row of a stage table; None where no number stands there."""

    name: str
    time_s: float | None
    mem_gb: float | None
    cpu_pct: float | None
    sys_mem_gb: float | None
    sm_pct: float | None
    load_pct_s: float | None


@dataclass(frozen=True)
class PrintedCase:
    """A row of the summary with the section of its case; None where no number stands in a cell.

    Attributes:
        text: what the section says below its table.
    """

    name: str
    size: str
    offload: str
    time_s: float | None
    step_s: float | None
    mem_gb: float | None
    sm_pct: float | None
    load_pct_s: float | None
    stages: tuple[PrintedStage, ...]
    text: str

    def stage(self, name: str) -> PrintedStage | None:
        return next((stage for stage in self.stages if stage.name == name), None)


def read_printed(path: Path) -> tuple[list[PrintedCase], str]:
    """The cases of a report in the order of its summary, and what stands above the summary.

    Raises:
        InputError: there is no summary, or a table is not in the form. The message names file, line and column.
    """
    try:
        lines = path.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read: {error}") from None
    starts = [i for i, line in enumerate(lines) if line.startswith(_CASE)]
    first = starts[0] if starts else len(lines)
    summary = _table(path, lines, 0, first, SUMMARY)
    if REPORT_TITLE not in lines or not summary:
        raise InputError(f"{path}: no summary; allowed: '{REPORT_TITLE}' and a table of {', '.join(SUMMARY)}")
    sections = {
        lines[start].removeprefix(_CASE).strip(): (start, end) for start, end in zip(starts, [*starts[1:], len(lines)])
    }
    head = "\n".join(lines[: summary[0][0] - 1])
    return [_case(path, lines, line, row, sections.get(row["Case"])) for line, row in summary], head


def _case(path: Path, lines: list[str], line: int, row: dict[str, str], section: tuple[int, int] | None) -> PrintedCase:
    start, end = section or (0, 0)
    stages = _table(path, lines, start, end, STAGES)
    return PrintedCase(
        row["Case"],
        row["Res"].removesuffix(" (unofficial)"),
        row["Offload"],
        *(_number(path, line, column, row[column]) for column in SUMMARY[3:]),
        stages=tuple(_stage(path, number, cells) for number, cells in stages),
        text="\n".join(text for text in lines[start:end] if not text.startswith("|")),
    )


def _stage(path: Path, line: int, row: dict[str, str]) -> PrintedStage:
    return PrintedStage(row["Stage"], *(_number(path, line, column, row[column]) for column in STAGES[1:]))


def _table(
    path: Path, lines: list[str], start: int, end: int, columns: tuple[str, ...]
) -> list[tuple[int, dict[str, str]]]:
    """Rows, with their line numbers, of the first table between two lines that begins with the columns."""
    header = next((i for i in range(start, end) if tuple(_cells(lines[i]))[: len(columns)] == columns), None)
    if header is None:
        return []
    names, rows = _cells(lines[header]), []
    for i in range(header + 2, end):
        if not lines[i].startswith("|"):
            break
        cells = _cells(lines[i])
        if len(cells) != len(names):
            raise InputError(f"{path}: line {i + 1}: {len(cells)} cells; allowed: {len(names)}, as in the header")
        rows.append((i + 1, dict(zip(names, cells))))
    return rows


def _cells(line: str) -> list[str]:
    # Our own reports escape underscores in names.
    return [cell.strip().replace("\\", "") for cell in line.strip().strip("|").split("|")]


def _number(path: Path, line: int, column: str, cell: str) -> float | None:
    if cell in _NO_NUMBER:
        return None
    if not re.fullmatch(r"-?\d+(\.\d+)?", cell):
        raise InputError(f"{path}: line {line}: {column}: {cell!r} is no number; allowed: a number, n/a or Unknown")
    return float(cell)

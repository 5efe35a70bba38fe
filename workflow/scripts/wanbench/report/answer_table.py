"""The answer of a report in cells: which settings to use for each workload."""

from collections.abc import Sequence

from wanbench.analysis.answer import USEFUL, Answer
from wanbench.report.cells import without_empty
from wanbench.report.render import macros_of

_WORKLOAD = "To make"


def answer_rows(answers: Sequence[Answer], alike_pct: float, currency: str | None) -> list[dict[str, str]]:
    """A row for each workload; cells are empty where nothing was measured."""
    cells = macros_of("cells.md.j2", alike_pct=alike_pct, currency=currency)
    with_gpu = len({answer["workload"]["gpu_name"] for answer in answers}) > 1
    rows = [
        {
            _WORKLOAD: cells.workload(answer["workload"], with_gpu),
            "Fastest": cells.fastest(answer),
            "Faster, but changes the video": cells.settings(answer["lossy"]),
            f"Least memory, {100 * (USEFUL - 1):.0f} % slower at most": cells.light(answer),
            **{f"On {size} GB": cells.card(answer, fit) for size, fit in answer["cards"].items()},
            "On several GPUs": cells.settings(answer["several"]),
        }
        for answer in answers
    ]
    return without_empty([{label: str(text).strip() for label, text in row.items()} for row in rows], kept=[_WORKLOAD])

"""Orders for attempts in a folder of a test."""

from pathlib import Path
from uuid import uuid4

from traces import LIMITS
from wanbench.cases.case import Case, case_sha256
from wanbench.measure.order import Order, Places


def places_in(folder: Path, case: Case) -> Places:
    return Places(
        trace=folder / "results/traces" / f"{case.name}.json",
        log=folder / "log",
        video=folder / "results/videos" / f"{case.name}.mp4",
        work=folder / "results/work" / case.name,
        results=folder / "results",
    )


def order_of(case: Case, places: Places, run_id: str | None = None) -> Order:
    """Of a run of its own, where none is named."""
    digests = {"case_sha256": case_sha256(case.settings()), "measure": "m", "env": "e"}
    return Order(case, places, digests, LIMITS, run_id or uuid4().hex)


def left_in(places: Places) -> set[str]:
    """Names in the work folder."""
    return {file.name for file in places.work.iterdir()}

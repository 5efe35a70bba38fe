"""The result of a search as plain values, for JSON and for the template that shows it."""

from collections.abc import Iterable
from dataclasses import asdict
from math import inf
from typing import Any

import yaml

from wanbench.registry.settings import printed
from wanbench.tuning.goal import Goal
from wanbench.tuning.search import Search
from wanbench.tuning.trials import BEST, NOT_TRIED, SKIPPED, WORSE, Trial
from wanbench.util.text import one_line

# Such as a list of all attention backends.
_LONGEST_REASON = 250


def result_of(goal: Goal, search: Search, took_s: float) -> dict[str, Any]:
    """What was asked for, the answers, the front of time against memory, and what became of each trial."""
    tried = [trial for trial in search.trials if trial.answer]
    stock = search.stock.answer if search.stock else None
    return {
        "name": goal.name,
        "goal": asdict(goal),
        "gpu_name": stock and stock.gpu_name,
        "took_s": took_s,
        "tried": len(tried),
        "skipped": sum(trial.verdict == SKIPPED for trial in search.trials),
        "not_tried": sum(trial.verdict == NOT_TRIED for trial in search.trials),
        "stock": search.stock and _of(search.stock),
        "exact": search.exact and _of(search.exact) | {"yaml": _to_paste(goal, search.exact)},
        "lossy": search.lossy and _of(search.lossy) | {"yaml": _to_paste(goal, search.lossy)},
        "confirmed": search.confirmed and _of(search.confirmed),
        "lossy_tried": sum(trial.is_lossy and trial.answer is not None for trial in search.trials),
        "front": [_of(trial) for trial in _front(search, tried)],
        "trials": [_of(trial) for trial in search.trials],
    }


def _of(trial: Trial) -> dict[str, Any]:
    # JSON has no infinity, which is the PSNR of equal frames.
    figures = trial.answer and {key: None if value == inf else value for key, value in asdict(trial.answer).items()}
    reason = one_line(trial.reason, _LONGEST_REASON)
    said = {"name": trial.name, "settings": printed(trial.changed), "verdict": trial.verdict, "reason": reason}
    return said | {"answer": figures}


def _to_paste(goal: Goal, trial: Trial) -> str:
    """A grid file with the case, at the official steps and as large a GPU as there is."""
    left_out = {"gpu_memory_gb", *({"steps"} - goal.fixed.keys())}
    settings = {key: value for key, value in trial.settings.items() if key not in left_out}
    return yaml.safe_dump({"cases": {"tuned": settings}}, allow_unicode=True, sort_keys=False)


def _front(search: Search, tried: Iterable[Trial]) -> list[Trial]:
    """Of those that fit, trials that none beats in both time and memory (without a GPU, the host's); fastest first."""
    front, least = [], inf
    fitting = (trial for trial in tried if trial.verdict in (BEST, WORSE))
    # What was dropped and has a lower time than the answer has it by chance.
    answers = {True: search.lossy or search.exact, False: search.exact}
    known = {lossy: answer.answer.video_s for lossy, answer in answers.items() if answer}
    sure = [trial for trial in fitting if trial.verdict == BEST or trial.answer.video_s > known.get(trial.is_lossy, 0)]
    for trial in sorted(sure, key=lambda trial: trial.answer.video_s):
        memory_bytes = trial.answer.gpu_used_bytes or trial.answer.host_bytes or 0.0
        if memory_bytes < least:
            front.append(trial)
            least = memory_bytes
    return front

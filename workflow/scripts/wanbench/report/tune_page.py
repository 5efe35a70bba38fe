"""The result of `snakemake tune` as Markdown."""

from collections.abc import Mapping, Sequence
from typing import Any

from wanbench.analysis.numbers import fixed, gb
from wanbench.report.cells import supported, without_empty
from wanbench.report.render import rendered, shown

_TEXTS = ("Settings", "Verdict", "Reason")
# Relative: a video of few steps, scaled.
_SPREAD = 0.01


def tune_page(result: Mapping[str, Any]) -> str:
    """The page of `wanbench.tuning.tuning_result.result_of`."""
    rows = {"front": _rows(result["front"]), "trials": _rows(result["trials"])}
    return rendered("tune.md.j2", result=result, spread=_SPREAD, texts=_TEXTS, **rows)


def _rows(trials: Sequence[Mapping[str, Any]]) -> list[dict[str, str]]:
    return without_empty([_row(trial, trial["answer"] or {}) for trial in trials], kept=_TEXTS)


def _row(trial: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, str]:
    suffix = trial["name"].rpartition("_")[2]
    again = f" ({suffix})" if suffix == "confirmed" else ""
    return {
        "Settings": shown(trial["settings"] + again),
        "Video (s)": supported(answer.get("video_s"), _SPREAD),
        "s/step": fixed(answer.get("step_s"), 3),
        "Decoding (s)": fixed(answer.get("decoding_s")),
        "Used (GB)": gb(answer.get("gpu_used_bytes"), 2),
        "Host (GB)": gb(answer.get("host_bytes"), 2),
        "First video (s)": fixed(answer.get("first_video_s"), 0),
        "Latent error": fixed(answer.get("latent_error"), 4),
        "PSNR (dB)": fixed(answer.get("psnr_db"), 1),
        "Verdict": trial["verdict"],
        "Reason": shown(trial["reason"]),
    }

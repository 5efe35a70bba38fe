"""Cases that made another video than in the baseline, of the same settings; and by how much, where both were kept."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from wanbench.analysis.comparable import with_rounding_bounds
from wanbench.analysis.fidelity import video_figures
from wanbench.compare.match import HARDWARE, SETTING, Difference
from wanbench.registry.settings import LOSSY, fidelity
from wanbench.trace.reader import Trace


@dataclass(frozen=True)
class Videos:
    """Where the kept videos of both sides are (`wanbench.measure.kept_frames`), and this run's table of cases."""

    baseline: Path
    own: Path
    cases: pd.DataFrame


@dataclass(frozen=True)
class VideoChange:
    """Another video than in the baseline; None for what is not known.

    Attributes:
        alike: software and hardware are the same on both sides.
        latent_error_rel, psnr_db: of this run's video beside the baseline's.
        bound_error_rel, bound_psnr_db: the same of what rounding alone does in this run.
        moved: settings that should change no more than rounding did, on hardware of the same kind.
    """

    case: str
    alike: bool
    latent_error_rel: float | None
    psnr_db: float | None
    bound_error_rel: float | None
    bound_psnr_db: float | None
    moved: bool


def frames_beside(trace: Path) -> Path:
    """Where the kept videos of a folder of traces are: in the results folder that has it, or in itself."""
    return (trace.parents[1] if trace.parent.name == "traces" else trace.parent) / "frames"


def video_changes(
    pairs: Iterable[tuple[Trace, Trace, tuple[Difference, ...]]], videos: Videos
) -> tuple[VideoChange, ...]:
    """
    Args:
        pairs: of the baseline and of this run, and in what they differ.
    """
    bounds = with_rounding_bounds(videos.cases).set_index("case")[["rounding_error_rel", "rounding_psnr_db"]]
    bounds_of = bounds.astype(object).where(bounds.notna(), None).to_dict("index")
    changes = []
    for old, new, found in pairs:
        kinds = {difference.kind for difference in found}
        digests = {(trace.kept or {}).get("frames_sha256") for trace in (old, new)}
        if None not in digests and len(digests) > 1 and SETTING not in kinds:
            figures = video_figures(new, videos.own, old, videos.baseline)
            bound = bounds_of.get(new.case["name"], {})
            changes.append(_change(new, figures, bound, alike=not kinds, same_hardware=HARDWARE not in kinds))
    return tuple(changes)


def _change(
    new: Trace, figures: Mapping[str, float], bound: Mapping[str, float | None], alike: bool, same_hardware: bool
) -> VideoChange:
    error, psnr_db = figures.get("latent_error_rel"), figures.get("psnr_db")
    error_bound, psnr_bound_db = bound.get("rounding_error_rel"), bound.get("rounding_psnr_db")
    beyond = (None not in (error, error_bound) and error > error_bound) or (
        None not in (psnr_db, psnr_bound_db) and psnr_db < psnr_bound_db
    )
    figures_ = (None if value is None or not math.isfinite(value) else value for value in (error, psnr_db))
    bounds = (None if value is None or not math.isfinite(value) else value for value in (error_bound, psnr_bound_db))
    moved = bool(beyond and same_hardware and fidelity(new.case) != LOSSY)
    return VideoChange(new.case["name"], alike, *figures_, *bounds, moved)

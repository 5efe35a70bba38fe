"""Cases that made another video than in the baseline, of the same settings; and by how much, where both were kept."""

import math
from collections.abc import Iterable
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
    """Of pairs of traces, of the baseline and of this run, with what they differ in."""
    bounds = with_rounding_bounds(videos.cases).set_index("case")[["rounding_error_rel", "rounding_psnr_db"]]
    changes = []
    for old, new, found in pairs:
        kinds = {difference.kind for difference in found}
        digests = {(trace.kept or {}).get("frames_sha256") for trace in (old, new)}
        if None not in digests and len(digests) > 1 and SETTING not in kinds:
            figures = pd.Series(video_figures(new, videos.own, old, videos.baseline), dtype=float)
            own = figures.reindex(["latent_error_rel", "psnr_db"]).tolist()
            bound = bounds.astype(float).reindex([new.case["name"]]).iloc[0].tolist()
            # Of what is not known, neither is true.
            beyond = own[0] > bound[0] or own[1] < bound[1]
            moved = beyond and HARDWARE not in kinds and fidelity(new.case) != LOSSY
            shown = (value if math.isfinite(value) else None for value in (*own, *bound))
            changes.append(VideoChange(new.case["name"], not kinds, *shown, moved))
    return tuple(changes)

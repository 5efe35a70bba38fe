"""Cases that made another video than in the baseline, of the same settings; and by how much, where both were kept."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from wanbench.analysis.comparable import with_rounding_bounds
from wanbench.analysis.fidelity import video_figures
from wanbench.analysis.tables import TableRows
from wanbench.compare.match import HARDWARE, SETTING
from wanbench.registry.settings import LOSSY, fidelity
from wanbench.trace.reader import Trace


@dataclass(frozen=True)
class Videos:
    """Where the kept videos of both sides are (`wanbench.measure.kept_frames`), and this run's table of cases."""

    baseline: Path
    own: Path
    cases: pd.DataFrame


def frames_beside(trace: Path) -> Path:
    """Where the kept videos of a folder of traces are: in the results folder that has it, or in itself."""
    return (trace.parents[1] if trace.parent.name == "traces" else trace.parent) / "frames"


def video_changes(pairs: Iterable[tuple[Trace, Trace, TableRows]], videos: Videos) -> list[dict[str, Any]]:
    """Of pairs of traces, of the baseline and of this run with what they differ in, those that made another video.

    Keys: `case`; `alike`, software and hardware are the same on both sides; `latent_error_rel` and `psnr_db` of this
    run's video beside the baseline's; `bound_error_rel` and `bound_psnr_db`, the same of what rounding alone does in
    this run; `moved`: settings that should change no more than rounding did, on hardware of the same kind. None for
    what is not known.
    """
    bounds = with_rounding_bounds(videos.cases).set_index("case")[["rounding_error_rel", "rounding_psnr_db"]]
    changes = []
    for old, new, found in pairs:
        kinds = {difference["kind"] for difference in found}
        digests = {(trace.kept or {}).get("frames_sha256") for trace in (old, new)}
        if None not in digests and len(digests) > 1 and SETTING not in kinds:
            figures = pd.Series(video_figures(new, videos.own, old, videos.baseline), dtype=float)
            error, psnr_db = figures.reindex(["latent_error_rel", "psnr_db"])
            bound_error, bound_psnr_db = bounds.astype(float).reindex([new.case["name"]]).iloc[0]
            # Of what is not known, neither is true.
            beyond = error > bound_error or psnr_db < bound_psnr_db
            moved = bool(beyond and HARDWARE not in kinds and fidelity(new.case) != LOSSY)
            shown = {"latent_error_rel": error, "psnr_db": psnr_db}
            shown |= {"bound_error_rel": bound_error, "bound_psnr_db": bound_psnr_db}
            shown = {key: float(value) if math.isfinite(value) else None for key, value in shown.items()}
            changes.append({"case": new.case["name"], "alike": not kinds} | shown | {"moved": moved})
    return changes

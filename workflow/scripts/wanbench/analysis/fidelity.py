"""What settings do to a video: each case beside the baseline of its workload, by latents and frames that were kept.

    relative error    norm of the difference of the final latents over the norm of the baseline's (L2, all values)
    PSNR (dB)         10 log10(255**2 / mean squared error) of the RGB values of a frame; equal frames: infinite
    SSIM              of a frame's luma (ITU-R BT.601) in windows of 7 x 7 pixels, by scikit-image; Wang et al., Image
                      Quality Assessment, IEEE Transactions on Image Processing 13(4), 2004

Of frames that both cases kept: every eighth one.
"""

import json
import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image

from wanbench.registry import settings as registry
from wanbench.registry.metrics import FIDELITY_COLUMNS
from wanbench.registry.stages import OK
from wanbench.trace.reader import Trace
from wanbench.util.lifeline import map_in_processes


def fidelity_table(traces: Sequence[Trace], frames: Path, processes: int = 1) -> pd.DataFrame:
    """A row for each case of which the digest of its frames is known; columns: docs/tables.md.

    `frames` has the folder of each case that `wanbench.measure.kept_frames` makes.
    """
    videos = {trace.case["name"]: trace for trace in traces if trace.kept is not None}
    baselines = baselines_of(videos.values())
    others = [videos.get(baselines.get(name, "")) for name in videos]
    rows = map_in_processes(partial(_row, folder=frames), videos.values(), others, processes=processes)
    return pd.DataFrame(rows, columns=list(FIDELITY_COLUMNS), dtype=object).astype(FIDELITY_COLUMNS)


def baselines_of(traces: Iterable[Trace]) -> dict[str, str]:
    """Name of each case's baseline, of those that have one.

    It is the stock case of the same workload on a GPU of the same model: no setting changed, or none but exact ones,
    such as offload; where there is none, the same with dtype float32. Of several it is the one with the fewest changes,
    then the first by name.
    """
    workloads: dict[str, list[Trace]] = defaultdict(list)
    for trace in traces:
        if trace.status == OK and trace.quality["output_finite"]:
            workloads[_workload(trace)].append(trace)
    found = {}
    for alike in workloads.values():
        if stock := [trace.case for trace in alike if not changing(trace.case)]:
            found |= dict.fromkeys((trace.case["name"] for trace in alike), min(stock, key=_distance)["name"])
    return found


def changing(case: Mapping[str, Any]) -> list[str]:
    """Settings by which a case's video is not that of the pipeline as it comes, be it by rounding alone."""
    rows = registry.changed(case)
    return [row.key for row in rows if row.video == registry.ROUNDING or row.is_lossy(case[row.key])]


def _distance(case: Mapping[str, Any]) -> tuple[bool, int, str]:
    return registry.fidelity(case) != registry.EXACT, len(registry.changed(case)), case["name"]


def _workload(trace: Trace) -> str:
    """Which video a case makes, on which GPU. Files are known by their digests, wherever they lie."""
    video = {key: trace.case[key] for key in registry.keys(registry.WORKLOAD, registry.DERIVED)}
    if video["checkpoint_sha256"] is not None:
        del video["checkpoint"]
    gpu = (trace.environment or {}).get("gpu") or {}
    return json.dumps([video, gpu.get("name")], sort_keys=True)


def _row(trace: Trace, baseline: Trace | None, folder: Path) -> dict[str, Any]:
    row = {"case": trace.case["name"], "frames_sha256": trace.kept["frames_sha256"]}
    if baseline is None:
        return row
    row |= {"baseline": baseline.case["name"], "difference": registry.difference(trace.case, baseline.case)}
    return row | video_figures(trace, folder, baseline, folder)


def video_figures(trace: Trace, folder: Path, baseline: Trace, other_folder: Path) -> dict[str, float]:
    """Figures of a video beside another, but those for which something is not there in the folders of their cases."""
    found: dict[str, float] = {}
    kept, other = trace.kept, baseline.kept
    if kept["latents_sha256"] is not None and kept["latents_sha256"] == other["latents_sha256"]:
        found["latent_error_rel"] = 0.0
    if kept["frames_sha256"] == other["frames_sha256"]:
        return found | {"psnr_db": math.inf, "psnr_worst_db": math.inf, "ssim": 1.0, "ssim_worst": 1.0}
    own, others = _kept_folder(folder, trace), _kept_folder(other_folder, baseline)
    if own is None or others is None:
        return found
    if kept["latents_dtype"] is not None and kept["latents_dtype"] == other["latents_dtype"]:
        latents, expected = (np.load(each / "latents.npy").astype(np.float64) for each in (own, others))
        found["latent_error_rel"] = float(np.linalg.norm(latents - expected) / np.linalg.norm(expected))
    numbers = [number for number in kept["frames"] if number in other["frames"]]
    pairs = [[read_frame(each, number) for each in (own, others)] for number in numbers]
    return found | frame_figures(pairs)


def _kept_folder(folder: Path, trace: Trace) -> Path | None:
    """Where the trace's own video is kept; None where it is not, or another is."""
    path = folder / trace.case["name"]
    try:
        kept = json.loads((path / "kept.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return path if all(trace.kept.get(key) == value for key, value in kept.items()) else None


def kept_numbers(folder: Path) -> list[int]:
    """Numbers of the frames that are kept in the folder of a case; none where there is no such folder."""
    return sorted(int(file.stem.removeprefix("frame_")) for file in folder.glob("frame_*.png"))


def read_frame(folder: Path, number: int) -> np.ndarray:
    """A kept frame: RGB, one byte a colour."""
    with Image.open(folder / f"frame_{number:04d}.png") as image:
        return np.asarray(image.convert("RGB"))


def frame_figures(pairs: Sequence[Sequence[np.ndarray]]) -> dict[str, float]:
    """PSNR and SSIM of frames beside the baseline's: their means and the worst; empty for no frames.

    The mean of PSNR is that of the frames that differ, since those that do not have an infinite one.
    """
    if not pairs:
        return {}
    # Its import takes most of a second, and few need it.
    from skimage.metrics import peak_signal_noise_ratio, structural_similarity

    differing = [pair for pair in pairs if not np.array_equal(*pair)]
    psnr = [float(peak_signal_noise_ratio(expected, frame, data_range=255)) for frame, expected in differing]
    ssim = [
        float(structural_similarity(_luma(frame), _luma(expected), data_range=255)) for frame, expected in differing
    ]
    ssim += [1.0] * (len(pairs) - len(differing))
    return {
        "psnr_db": float(np.mean(psnr)) if psnr else math.inf,
        "psnr_worst_db": min(psnr, default=math.inf),
        "ssim": float(np.mean(ssim)),
        "ssim_worst": min(ssim),
    }


def _luma(frame: np.ndarray) -> np.ndarray:
    return frame @ np.array([0.299, 0.587, 0.114])

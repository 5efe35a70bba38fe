"""What is kept of a video, so that it can be compared with others: `wanbench.analysis.fidelity` does that.

In results/frames/CASE lie `latents.npy`, the final latents before decoding; every eighth frame as `frame_0000.png`,
`frame_0008.png` and so on; and `kept.json`, which says what the trace says of them. Frames get what latents
leave of LIMIT_BYTES: where they need more, every second one goes, and so on.
"""

import hashlib
import io
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

LIMIT_BYTES = 50_000_000
EVERY = 8
# For the trace, which is still to be written.
_LEFT_FREE_BYTES = 50_000_000


def keep_frames(frames: Sequence[np.ndarray], latents: np.ndarray | None, folder: Path) -> dict[str, Any]:
    """Keep a video, and say what the trace says of it; what cannot be written is a `problem` there, and no error.

    Args:
        frames: RGB in [0, 1], each of shape (height, width, 3).
        latents: float32; None where they are not known.
        folder: to be made anew.
    """
    begin_s = time.monotonic()
    digest, pngs, size_bytes = hashlib.sha256(), {}, 0
    for number, frame in enumerate(frames):
        # As diffusers' export_to_video does it.
        values = (frame * 255).astype(np.uint8)
        digest.update(np.ascontiguousarray(values))
        if number % EVERY == 0:
            pngs[number] = _png(values)
    # With room for the heads of files.
    pngs = _thinned(pngs, LIMIT_BYTES if latents is None else LIMIT_BYTES - latents.nbytes - 1000)
    kept: dict[str, Any] = {
        "frames_sha256": digest.hexdigest(),
        "latents_sha256": None if latents is None else hashlib.sha256(np.ascontiguousarray(latents)).hexdigest(),
        "latents_dtype": None if latents is None else str(latents.dtype),
        "frames": list(pngs),
    }
    problem = None if latents is not None else "the scheduler does not have the final latents"
    try:
        size_bytes = _write(folder, kept, latents, pngs)
    except OSError as error:
        problem = f"not kept: {error.strerror or error}"
        kept |= {"latents_dtype": None, "frames": []}
    return kept | {"size_bytes": size_bytes, "time_s": time.monotonic() - begin_s, "problem": problem}


def _png(frame: np.ndarray) -> bytes:
    file = io.BytesIO()
    # The least effort is several times as fast, and the files are a tenth larger.
    Image.fromarray(frame).save(file, "PNG", compress_level=1)
    return file.getvalue()


def _thinned(pngs: dict[int, bytes], limit_bytes: int) -> dict[int, bytes]:
    """All of them, or every second, fourth and so on; a single one that is too large goes as well."""
    while pngs and sum(map(len, pngs.values())) > limit_bytes:
        pngs = dict(list(pngs.items())[::2]) if len(pngs) > 1 else {}
    return pngs


def _write(folder: Path, kept: dict[str, Any], latents: np.ndarray | None, pngs: dict[int, bytes]) -> int:
    """Write the folder, or nothing of it, and return the size of its files in bytes."""
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir(parents=True)
        if shutil.disk_usage(folder).free < LIMIT_BYTES + _LEFT_FREE_BYTES:
            raise OSError(f"less than {(LIMIT_BYTES + _LEFT_FREE_BYTES) / 1e6:.0f} MB are free on the disk")
        if latents is not None:
            np.save(folder / "latents.npy", latents)
        for number, png in pngs.items():
            (folder / f"frame_{number:04d}.png").write_bytes(png)
        # Last: without it nobody uses the others.
        (folder / "kept.json").write_text(json.dumps(kept, indent=1), "utf-8")
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return sum(file.stat().st_size for file in folder.iterdir())

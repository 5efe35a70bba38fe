"""The picture of image-to-video, read as diffusers reads it (`diffusers.utils.load_image`), and what that changes.

Pillow is imported where it is needed: the environment that runs Snakemake need not have it.
"""

import warnings
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wanbench.cases.case import Case
from wanbench.util.paths import is_stream, named_path
from wanbench.util.text import one_line

_FORMATS = ("PNG", "JPEG", "WEBP")
# Of less, nobody sees that a picture was stretched.
_SEEN_STRETCH = 1.03
_ORIENTATION = 0x0112
_OF_MODES = {
    "P": "its palette is resolved",
    "CMYK": "CMYK becomes RGB without its colour profile",
    "I": "of its 16 bits, values above 255 become white",
    "F": "its values above 255 become white",
}


def problem_of_image(path: Path) -> str | None:
    """What is wrong with a picture, in one line; None where nothing is, as far as this environment can look into it."""
    try:
        if is_stream(path):
            return "is no file"
        with path.open("rb") as file:
            head = file.read(12)
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not head.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff")) and head[8:12] != b"WEBP":
        return "is not an image"
    return _problem(path, path.stat().st_mtime_ns) if find_spec("PIL") else None


# A grid of many cases may name one picture.
@cache
def _problem(path: Path, written_ns: int) -> str | None:
    try:
        read_first_frame(path)
    except ValueError as error:
        return str(error)
    return None


def changes_of_image(case: Case) -> list[str]:
    """In words, what of a case's picture is used otherwise than its file has it; nothing where none can be read."""
    if case.image is None:
        return []
    try:
        picture, changes = read_first_frame(named_path(case.image))
    except (ImportError, ValueError):
        return []
    stretch = picture.width / picture.height * case.height_px / case.width_px
    # The pipeline's image processor resizes to the video's size whatever the shape (`resize_mode="default"`).
    if not 1 / _SEEN_STRETCH < stretch < _SEEN_STRETCH:
        changes.append(f"stretched from {picture.width}*{picture.height}, of another shape than {case.size}")
    return changes


def read_first_frame(path: Path) -> tuple[Any, list[str]]:
    """The picture as RGB, and in words what differs from the file's own.

    Raises:
        ValueError: it cannot be read to its end, or is larger than Pillow opens; one line that says which.
    """
    from PIL import Image, ImageOps

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=_FORMATS) as opened:
            opened.load()
            upright = ImageOps.exif_transpose(opened)
            return upright.convert("RGB"), _changes(opened)
    except Image.DecompressionBombError as error:
        raise ValueError(f"is too large: {error}") from None
    except MemoryError:
        raise ValueError("is too large for this machine's memory") from None
    except Exception as error:
        # Of a broken file Pillow's readers raise whatever they come upon: SyntaxError, struct.error, EOFError.
        raise ValueError(f"is not a whole image: {one_line(f'{type(error).__name__}: {error}', 150)}") from None


def _changes(opened: Any) -> list[str]:
    changes = []
    if opened.getexif().get(_ORIENTATION, 1) in range(2, 9):
        changes.append("turned upright, as its EXIF orientation says")
    if opened.has_transparency_data:
        changes.append("its transparency is dropped")
    changes += [text for mode, text in _OF_MODES.items() if opened.mode.split(";")[0] in (mode, f"{mode}A")]
    if (pictures := getattr(opened, "n_frames", 1)) > 1:
        changes.append(f"the first of its {pictures} pictures is used")
    return changes

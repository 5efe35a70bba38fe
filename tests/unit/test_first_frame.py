"""The picture of image-to-video: read as diffusers reads it, and refused before any work where it cannot be."""

import struct
import zlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from diffusers.utils import load_image
from PIL import Image

from example_cases import tiny_case
from hostile import refused
from wanbench.cases.first_frame import changes_of_image, problem_of_image, read_first_frame
from wanbench.measure.wan.generate import pipeline_arguments


def picture(mode: str = "RGB") -> Image.Image:
    rgb = Image.fromarray(np.arange(96 * 64 * 3, dtype=np.uint32).reshape(64, 96, 3).astype(np.uint8))
    return rgb.convert(mode)


def photo(file: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    picture().save(file, exif=exif)


def sixteen_bits(file: Path) -> None:
    Image.fromarray(np.full((8, 8), 300, np.uint16)).save(file)


def animated(file: Path) -> None:
    picture().save(file, save_all=True, append_images=[picture().rotate(180)])


def half_transparent(file: Path, mode: str) -> None:
    image = picture("RGBA")
    image.putalpha(90)
    image.convert(mode).save(file)


@pytest.mark.parametrize(
    ("name", "save", "said"),
    [
        ("plain.png", lambda f: picture().save(f), ""),
        ("photo.jpg", photo, "turned upright, as its EXIF orientation says"),
        ("alpha.png", partial(half_transparent, mode="RGBA"), "its transparency is dropped"),
        ("grey_alpha.png", partial(half_transparent, mode="LA"), "its transparency is dropped"),
        ("palette.png", lambda f: picture("P").save(f), "its palette is resolved"),
        ("cmyk.jpg", lambda f: picture("CMYK").save(f), "CMYK becomes RGB without its colour profile"),
        ("deep.png", sixteen_bits, "of its 16 bits, values above 255 become white"),
        ("moving.webp", animated, "the first of its 2 pictures is used"),
    ],
)
def test_a_picture_is_as_in_diffusers(tmp_path: Path, name: str, save: Callable[[Path], Any], said: str) -> None:
    file = tmp_path / name
    save(file)
    assert problem_of_image(file) is None
    image, changes = read_first_frame(file)
    assert np.array_equal(np.asarray(image), np.asarray(load_image(str(file))))
    assert changes == ([said] if said else [])


def test_a_picture_of_another_shape_than_the_video_is_stretched_which_is_said(tmp_path: Path) -> None:
    Image.new("RGB", (300, 200)).save(tmp_path / "a.png")
    for size, changes in (("96*64", []), ("96*96", ["stretched from 300*200, of another shape than 96*96"])):
        case = tiny_case(task="i2v", image=str(tmp_path / "a.png"), size=size)
        assert changes_of_image(case) == changes
    (tmp_path / "a.png").unlink()
    assert changes_of_image(case) == []
    # The pipeline gets a photo upright.
    photo(tmp_path / "photo.jpg")
    assert pipeline_arguments(tiny_case(task="i2v", image=str(tmp_path / "photo.jpg")))["image"].size == (64, 96)


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def huge(file: Path) -> None:
    head = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")))


def half(file: Path) -> None:
    picture().save(file)
    data = file.read_bytes()
    file.write_bytes(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("name", "write", "part"),
    [
        ("cut.jpg", half, "is not a whole image: OSError"),
        ("huge.png", huge, "is too large: Image size (3600000000 pixels)"),
        ("gif.png", lambda f: picture("P").save(f, "GIF"), "is not an image"),
    ],
)
def test_a_broken_picture_is_refused(tmp_path: Path, name: str, write: Callable[[Path], Any], part: str) -> None:
    write(tmp_path / name)
    text = refused(lambda: tiny_case(task="i2v", image=str(tmp_path / name)))
    assert part in text
    assert text.startswith("tiny: case 'tiny': image: ")
    assert text.endswith("; allowed: a PNG, JPEG or WebP file")

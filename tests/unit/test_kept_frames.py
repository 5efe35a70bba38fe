"""What is kept of a video to compare it with others, and that it costs neither the case nor any stage."""

import hashlib
import json
import os
import shutil
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from example_cases import tiny_case
from tiny import make
from wanbench.measure import kept_frames
from wanbench.measure.kept_frames import keep_frames
from wanbench.measure.wan.generate import final_latents, pipeline_arguments

_RANDOM = np.random.default_rng(0)
FRAMES = _RANDOM.random((17, 8, 16, 3), dtype=np.float32)
LATENTS = _RANDOM.standard_normal((1, 4, 5, 2, 4), dtype=np.float32)


def test_latents_every_eighth_frame_and_digests_are_kept(tmp_path: Path) -> None:
    folder = tmp_path / "frames/a"
    kept = keep_frames(FRAMES, LATENTS, folder)
    values = (FRAMES * 255).astype(np.uint8)
    assert kept["frames_sha256"] == hashlib.sha256(values.tobytes()).hexdigest()
    assert kept["latents_sha256"] == hashlib.sha256(LATENTS.tobytes()).hexdigest()
    assert (kept["frames"], kept["latents_dtype"], kept["problem"]) == ([0, 8, 16], "float32", None)
    for number in kept["frames"]:
        assert np.array_equal(np.asarray(Image.open(folder / f"frame_{number:04d}.png")), values[number])
    assert np.array_equal(np.load(folder / "latents.npy"), LATENTS)
    assert json.loads((folder / "kept.json").read_text()).items() <= kept.items()
    assert kept["size_bytes"] == sum(file.stat().st_size for file in folder.iterdir())
    assert os.listdir(folder.parent) == ["a"]


@pytest.mark.parametrize(
    ("limit_bytes", "numbers"),
    # Latents take 640 bytes, a frame of noise some 450.
    [(640 + 1000 + 1000, [0, 16]), (640 + 1000 + 600, [0]), (1, [])],
)
def test_frames_have_the_room_that_latents_leave(
    limit_bytes: int, numbers: list[int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept_frames, "LIMIT_BYTES", limit_bytes)
    kept = keep_frames(FRAMES, LATENTS, tmp_path / "a")
    assert (kept["latents_dtype"], kept["frames"]) == ("float32", numbers)
    assert np.array_equal(np.load(tmp_path / "a/latents.npy"), LATENTS)


def test_a_full_disk_costs_the_frames_and_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "save", full)
    kept = keep_frames(FRAMES, LATENTS, tmp_path / "a")
    assert "No space left on device" in kept["problem"]
    assert (kept["frames"], kept["latents_dtype"], kept["size_bytes"]) == ([], None, 0)
    assert len(kept["frames_sha256"]) == len(kept["latents_sha256"]) == 64
    assert os.listdir(tmp_path) == []


def test_what_the_trace_will_need_is_left_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**9, 10**9, 99_000_000))
    assert "100 MB" in keep_frames(FRAMES, LATENTS, tmp_path / "a")["problem"]
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("model", ["TI2V-5B", "T2V-A14B", "I2V-A14B", "TI2V-5B of an image"])
def test_the_scheduler_keeps_the_final_latents_bit_for_bit(model: str) -> None:
    image_first = model.endswith("image")
    case = tiny_case("TI2V-5B", task="i2v") if image_first else tiny_case(model)
    pipe = make(case)
    expected = pipe(**pipeline_arguments(case) | {"output_type": "latent"}).frames.numpy()
    pipe(**pipeline_arguments(case))
    latents = final_latents(pipe)
    assert latents.dtype == np.float32
    assert np.array_equal(latents, expected[:, :, 1:] if image_first else expected)


def test_latents_of_another_scheduler_are_not_guessed(tmp_path: Path) -> None:
    pipe = make(case := tiny_case())
    pipe.scheduler.register_to_config(final_sigmas_type="sigma_min")
    pipe(**pipeline_arguments(case))
    assert final_latents(pipe) is None
    kept = keep_frames(FRAMES, None, tmp_path / "a")
    assert kept["latents_sha256"] is kept["latents_dtype"] is None
    assert "scheduler" in kept["problem"]

"""Another video than in the baseline: by how much, and when that ends the command."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from example_cases import full_case
from measured_cases import compare, render
from reports import made, made_tables
from traces import GPU, gpu_with
from wanbench.compare.sides import side_of
from wanbench.compare.video_change import Videos, frames_beside, video_changes
from wanbench.measure.kept_frames import keep_frames
from wanbench.report.render import rendered
from wanbench.trace.reader import Trace

Make = Callable[..., Trace]
# Of a whole of 5; the stock case's.
STOCK = (3.0, 4.0)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A trace of a side, with the video that it kept: gray frames, and two latents."""

    def trace(
        side: str, latents: tuple[float, ...] = STOCK, gray: int = 100, torch: str = "2.11.0", **more: Any
    ) -> Trace:
        frames = np.full((1, 16, 16, 3), (gray + 0.5) / 255, dtype=np.float32)
        latent = np.array(latents, dtype=np.float32).reshape(1, 1, 1, 1, -1)
        kept = keep_frames(frames, latent, tmp_path / side / "frames/a")
        environment = more.pop("environment", GPU) | {"packages": {"torch": torch}}
        case = full_case("a", **{"steps": 4, "compile": "repeated_blocks"} | more)
        return made(tmp_path / side, case, environment=environment, alter=lambda content: content.update(kept=kept))

    return trace


def changes(
    folder: Path, old: Trace, new: Trace, rounding: tuple[float, float] | None = (0.02, 40.0)
) -> list[SimpleNamespace]:
    """What is told of a case, where another has moved by rounding so far from the baseline of its workload."""
    cases = made_tables(new).cases.assign(baseline="stock")
    if rounding is not None:
        other = cases.assign(case="b", difference="rounding", latent_error_rel=rounding[0], psnr_db=rounding[1])
        cases = pd.concat([cases, other], ignore_index=True)
    (case,) = compare(side_of([old]), side_of([new]))["cases"]
    videos = Videos(folder / "old/frames", folder / "new/frames", cases)
    return [SimpleNamespace(**change) for change in video_changes([(old, new, case["differences"])], videos)]


def test_another_video_of_equal_settings_and_software_is_named(make: Make, tmp_path: Path) -> None:
    assert changes(tmp_path, make("old"), make("new")) == []
    (change,) = changes(tmp_path, make("old"), make("new", (3, 4.05), 101))
    assert (change.case, change.alike, change.moved) == ("a", True, False)
    assert change.latent_error_rel == pytest.approx(0.01, rel=1e-5)
    assert change.psnr_db == pytest.approx(48.13, abs=0.01)
    assert (change.bound_error_rel, change.bound_psnr_db) == (0.02, 40)


def test_more_than_rounding_is_an_error(make: Make, tmp_path: Path) -> None:
    old = make("old")
    # Within the bounds; latents beyond it; frames alone.
    for latents, gray, moved in (((3, 4.05), 101, False), ((3, 4.2), 101, True), (STOCK, 110, True)):
        (change,) = changes(tmp_path, old, make("new", latents, gray, torch="2.12.0"))
        assert (change.alike, change.moved) == (False, moved)


def test_what_may_move_and_what_has_no_bound_is_no_error(make: Make, tmp_path: Path) -> None:
    far = {"latents": (9.0, 9.0), "gray": 200}
    lossy = {"vae_tiling": True}
    (change,) = changes(tmp_path, make("old", **lossy), make("new", **far, **lossy))
    assert (change.latent_error_rel > 1, change.moved) == (True, False)
    (change,) = changes(tmp_path, make("old"), make("new", **far), rounding=None)
    assert (change.bound_error_rel, change.moved) == (None, False)
    (change,) = changes(tmp_path, make("old"), make("new", **far, environment=gpu_with(name="Another")))
    assert not change.moved
    # Another video was asked for.
    assert changes(tmp_path, make("old"), make("new", **far, seed=1)) == []


def test_without_kept_frames_the_digest_alone_tells(make: Make, tmp_path: Path) -> None:
    old, new = make("old"), make("new", (9, 9), 200)
    assert changes(tmp_path, replace(old, kept=None), new) == []
    (tmp_path / "old/frames/a").rename(tmp_path / "gone")
    (change,) = changes(tmp_path, old, new)
    assert (change.latent_error_rel, change.psnr_db, change.moved) == (None, None, False)
    assert "no kept frames" in render(compare([], []) | {"videos": [vars(change)]})


def test_files_and_the_command_name_what_moved(make: Make, tmp_path: Path) -> None:
    (change,) = changes(tmp_path, make("old"), make("new", (3, 4.2), 110))
    comparison = compare([], []) | {"videos": [vars(change)]}
    words = "latents 4 % off, PSNR 28.1 dB; rounding alone: latents 2 % off, PSNR 40.0 dB"
    assert f"- a: {words}; with equal settings, software and hardware\n" in render(comparison)
    errors = rendered("comparison_errors.j2", **comparison).strip().splitlines()
    assert errors[0] == "Moved by more than rounding:"
    assert errors[1].startswith(f"a: {words}")
    within = comparison | {"videos": [vars(change) | {"moved": False}]}
    assert "Moved" not in rendered("comparison_errors.j2", **within)


def test_where_frames_are_kept_beside_a_baseline() -> None:
    assert {frames_beside(Path("before", trace)) for trace in ("traces/a.json", "a.json.gz")} == {Path("before/frames")}

"""What settings do to a video: figures of hand-made latents and frames, and which case is the baseline."""

import math
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from example_cases import full_case
from reports import THRESHOLDS, made, made_tables, table_of_findings, tables
from traces import GPU, gpu_with
from wanbench.analysis.fidelity import baselines_of, fidelity_table, frame_figures
from wanbench.analysis.kernels import kernels_table
from wanbench.analysis.settings_table import Prices, settings_table
from wanbench.analysis.tables import excluded_table, read_table, with_fidelity, write_table
from wanbench.measure.kept_frames import keep_frames
from wanbench.registry.metrics import FIDELITY_COLUMNS
from wanbench.report.render import percent, rendered
from wanbench.report.view import view_of
from wanbench.trace.reader import Trace

FIGURES = ["latent_error_rel", "psnr_db", "psnr_worst_db", "ssim", "ssim_worst"]
Make = Callable[..., Trace]


def gray(value: int, count: int = 9) -> np.ndarray:
    """Frames in which each colour has this value of 0 to 255."""
    return np.full((count, 16, 16, 3), (value + 0.5) / 255, dtype=np.float32)


def latents(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32).reshape(1, 1, 1, 1, -1)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """The trace of a case on a GPU with the video that it kept, in the folder `frames`."""

    def trace(
        name: str, video: np.ndarray, latent: np.ndarray, gpu: Any = GPU, step_s: float = 2.0, **settings: Any
    ) -> Trace:
        kept = keep_frames(video, latent, tmp_path / "frames" / name)
        case = full_case(name, steps=4, **settings)
        return made(tmp_path, case, [step_s] * 4, environment=gpu, alter=lambda content: content.update(kept=kept))

    return trace


def rows(traces: list[Trace], folder: Path) -> dict[str, dict[str, Any]]:
    table = fidelity_table(traces, folder / "frames")
    assert dict(table.dtypes.astype(str)) == FIDELITY_COLUMNS
    return table.astype(object).where(table.notna(), None).set_index("case").to_dict("index")


def test_psnr_and_ssim_of_frames_with_known_ones() -> None:
    dark, light = (np.full((16, 16, 3), value, dtype=np.uint8) for value in (100, 110))
    # A mean squared error of 10**2. Without contrast SSIM is its term of luminance, with C1 = (0.01 * 255)**2.
    psnr, ssim = 10 * math.log10(255**2 / 100), (2 * 100 * 110 + 2.55**2) / (100**2 + 110**2 + 2.55**2)
    found = frame_figures([(light, dark), (dark, dark)])
    assert found["psnr_db"] == found["psnr_worst_db"] == pytest.approx(psnr)
    assert found["ssim_worst"] == pytest.approx(ssim)
    assert found["ssim"] == pytest.approx((1 + ssim) / 2)
    darker = np.full((16, 16, 3), 80, dtype=np.uint8)
    both = frame_figures([(light, dark), (darker, dark)])
    assert both["psnr_worst_db"] == pytest.approx(psnr - 20 * math.log10(2))
    assert both["psnr_db"] == pytest.approx(psnr - 10 * math.log10(2))
    # PSNR is of colours and SSIM of luma; these have the same: 0.299 * 114 = 0.114 * 299.
    one, other = np.zeros((16, 16, 3), dtype=np.uint8), np.zeros((16, 16, 3), dtype=np.uint8)
    one[..., 0], other[..., 2] = 57, 149.5
    found = frame_figures([(one, other)])
    assert found["ssim"] > 0.9
    assert found["psnr_db"] == pytest.approx(10 * math.log10(255**2 * 3 / (57**2 + 149**2)))


def test_each_case_stands_beside_the_stock_one(make: Make, tmp_path: Path) -> None:
    traces = [
        make("compiled", gray(101), latents(3, 4.05), compile="repeated_blocks"),
        make("float16", gray(110), latents(3, 4.5), dtype="float16"),
        make("offloaded", gray(100), latents(3, 4), offload="model"),
        make("stock", gray(100), latents(3, 4)),
        make("vae", gray(102), latents(3, 4), vae_dtype="bfloat16"),
    ]
    found = rows(traces, tmp_path)
    assert {row["baseline"] for row in found.values()} == {"stock"}
    expected = {"compiled": "rounding", "float16": "lossy", "offloaded": "exact", "stock": "exact", "vae": "lossy"}
    assert {name: row["difference"] for name, row in found.items()} == expected
    for name in ("stock", "offloaded"):
        assert [found[name][key] for key in FIGURES] == [0, math.inf, math.inf, 1, 1]
    assert found["compiled"]["latent_error_rel"] == pytest.approx(0.01, rel=1e-5)
    assert found["float16"]["latent_error_rel"] == pytest.approx(0.1, rel=1e-5)
    assert found["vae"]["latent_error_rel"] == 0
    assert found["compiled"]["psnr_db"] == pytest.approx(20 * math.log10(255))
    assert found["float16"]["psnr_worst_db"] == pytest.approx(20 * math.log10(255) - 20)


def test_frames_that_only_one_of_two_kept_are_not_compared(make: Make, tmp_path: Path) -> None:
    frames = gray(100, 17)
    frames[8] = gray(200)[0]
    whole, thinned = make("whole", frames, latents(1, 2), vae_tiling=True), make("stock", gray(100, 17), latents(1, 2))
    (tmp_path / "frames/stock/frame_0008.png").unlink()
    (tmp_path / "frames/stock/kept.json").write_text("{}")
    found = rows([whole, replace(thinned, kept=thinned.kept | {"frames": [0, 16]})], tmp_path)
    assert (found["whole"]["psnr_db"], found["whole"]["ssim"]) == (math.inf, 1)


def test_another_video_and_another_gpu_have_no_baseline_and_a_moved_file_has(make: Make) -> None:
    stock = make("stock", gray(1), latents(1))
    elsewhere = make("elsewhere", gray(1), latents(1), gpu=gpu_with(name="Another"), compile="repeated_blocks")

    def changed(name: str, **settings: Any) -> Trace:
        return replace(stock, case=stock.case | {"name": name, "compile": "repeated_blocks"} | settings)

    others = {"seed": 1, "size": "704*1280", "prompt": "another", "guidance": [1.0], "shift": 3, "frames": 117}
    others |= {"steps": 5, "lora_sha256": "a" * 64}
    changes = [changed(key, **{key: value}) for key, value in others.items()]
    assert baselines_of([stock, elsewhere, *changes]) == {"stock": "stock"}
    loaded = {"weights": "pretrained", "scale": None, "checkpoint_sha256": "b" * 64}
    here, there = (changed(place, checkpoint=place, compile="none", **loaded) for place in ("here", "there"))
    assert baselines_of([stock, there, here]) == {"stock": "stock", "here": "here", "there": "here"}


def test_the_baseline_has_the_fewest_changes_and_none_that_is_more_than_exact(make: Make) -> None:
    def case(name: str, **settings: Any) -> Trace:
        return make(name, gray(1), latents(1), **settings)

    traces = [case("a", vae_tiling=True), case("b", compile="repeated_blocks")]
    assert baselines_of(traces) == {}
    for name, settings in (("c", {"dtype": "float32"}), ("d", {"offload": "model"}), ("e", {})):
        traces.append(case(name, **settings))
        assert set(baselines_of(traces).values()) == {name}
    failed = replace(traces[-1], quality=traces[-1].quality | {"output_finite": False})
    assert set(baselines_of([*traces[:-1], failed]).values()) == {"d"}


def test_nothing_is_told_of_a_video_that_is_not_there(make: Make, tmp_path: Path) -> None:
    stock, gone = make("stock", gray(1), latents(1)), make("gone", gray(2), latents(2), dtype="float16")
    others = make("others", gray(3), latents(3), vae_tiling=True)
    # Of an older trace, and of one that was to keep nothing.
    old = replace(make("old", gray(4), latents(4), compile="repeated_blocks"), kept=None)
    shutil.rmtree(tmp_path / "frames/gone")
    shutil.rmtree(tmp_path / "frames/others")
    keep_frames(gray(5), latents(5), tmp_path / "frames/others")
    found = rows([stock, gone, others, old], tmp_path)
    assert set(found) == {"stock", "gone", "others"}
    for name in ("gone", "others"):
        assert [found[name][key] for key in FIGURES] == [None] * 5
        assert found[name]["baseline"] == "stock"
    assert rows([gone], tmp_path)["gone"]["baseline"] is None


def test_the_cases_table_has_the_figures_of_its_own_videos_alone(make: Make, tmp_path: Path) -> None:
    traces = [make("stock", gray(1), latents(1)), make("other", gray(2), latents(2), dtype="float16")]
    fidelity = fidelity_table(traces, tmp_path / "frames")
    write_table(fidelity, tmp_path / "fidelity.csv", tmp_path / "fidelity.parquet")
    read = read_table(tmp_path / "fidelity.csv", FIDELITY_COLUMNS)
    cases = made_tables(*traces).cases
    joined = with_fidelity(cases, read)
    pd.testing.assert_frame_equal(joined[list(FIDELITY_COLUMNS)], fidelity)
    assert dict(joined.dtypes) == dict(cases.dtypes)
    read.loc[1, "frames_sha256"] = "0" * 64
    other = with_fidelity(cases, read).iloc[1]
    assert other["frames_sha256"] == traces[1].kept["frames_sha256"]
    assert other[["baseline", *FIGURES]].isna().all()


def test_settings_stand_beside_what_rounding_alone_does(make: Make, tmp_path: Path) -> None:
    traces = [
        make("stock", gray(100), latents(3, 4)),
        make("compiled", gray(101), latents(3, 4.05), compile="repeated_blocks"),
        make("both", gray(102), latents(3, 4.1), compile="repeated_blocks", offload="model"),
        make("float16", gray(120), latents(3, 5), dtype="float16"),
        # Times are of its warm generation alone, differences of both.
        make("float16_again", gray(110), latents(3, 4.5), dtype="float16", repeats=2),
        make("another", gray(130), latents(6, 8), seed=1, vae_tiling=True),
    ]
    cases = with_fidelity(made_tables(*traces).cases, fidelity_table(traces, tmp_path / "frames"))
    settings = settings_table(cases, Prices(), 1, 1).set_index("cases")
    row = settings.loc["float16, float16_again"]
    whole = 20 * math.log10(255)
    assert row["latent_error_rel"] == pytest.approx(0.2, rel=1e-5)
    assert row["psnr_db"] == pytest.approx(whole - 20 * math.log10(20))
    assert row["rounding_error_rel"] == pytest.approx(0.02, rel=1e-5)
    assert row["rounding_psnr_db"] == pytest.approx(whole - 20 * math.log10(2))
    assert row["rounding_ssim"] == settings.loc["both", "ssim"] < settings.loc["compiled", "ssim"]
    assert settings.loc["another", ["latent_error_rel", "rounding_error_rel"]].isna().all()


def told(traces: list[Trace], folder: Path) -> tuple[str, list[dict[str, str]], str]:
    """What the answer's only row says of faster settings, the rows of the settings table, and the whole report."""
    cases = with_fidelity(made_tables(*traces).cases, fidelity_table(traces, folder / "frames"))
    shown = {"cases": cases, "stages": made_tables(*traces).stages, "settings": settings_table(cases, Prices(), 1, 1)}
    shown |= {"excluded": excluded_table([]), "findings": table_of_findings(), "kernels": kernels_table([])}
    markdown = rendered("report.md.j2", view=view_of(shown, THRESHOLDS, Prices()))
    ((answer,),) = tables(markdown, "To make")
    (lossy,) = (text for label, text in answer.items() if label.startswith("Faster"))
    return lossy, tables(markdown, "Settings")[0], markdown


def test_the_answer_says_how_far_a_faster_lossy_setting_is_from_the_stock_video(make: Make, tmp_path: Path) -> None:
    stock = make("stock", gray(100), latents(3, 4))
    compiled = make("compiled", gray(101), latents(3, 4.05), compile="repeated_blocks")
    float16 = make("float16", gray(110), latents(3, 4.5), dtype="float16", step_s=1.0)
    lossy, settings, markdown = told([stock, compiled, float16], tmp_path)
    assert (
        "latents 10 % off, PSNR 28.1 dB, SSIM 0.995 (rounding alone: latents 1 % off, PSNR 48.1 dB, SSIM 1.000)"
        in lossy
    )
    columns = ("Latents off (%)", "PSNR (dB)", "SSIM")
    rows_ = {row["Settings"]: [row[key] for key in columns] for row in settings}
    assert rows_["stock"] == ["0", "equal", "1.000"]
    assert rows_["compile: repeated\\_blocks"] == ["1", "48.1", "1.000"]
    assert rows_["dtype: float16 (lossy)"] == ["10", "28.1", "0.995"]
    assert markdown.count("arithmetic, not pictures") == 1


def test_a_loss_that_was_not_measured_is_named_as_such(make: Make, tmp_path: Path) -> None:
    stock = replace(make("stock", gray(100), latents(3, 4)), kept=None)
    float16 = replace(make("float16", gray(110), latents(3, 4.5), dtype="float16", step_s=1.0), kept=None)
    lossy, settings, markdown = told([stock, float16], tmp_path)
    assert "loss not measured" in lossy
    assert not {"Latents off (%)", "PSNR (dB)", "SSIM"} & set(settings[0])
    assert "of arithmetic" not in markdown


def test_small_and_large_shares_have_two_digits() -> None:
    assert [percent(share) for share in (0.0, 0.000123, 0.0456, 0.101, 1.41, None)] == [
        *("0", "0.012", "4.6", "10", "141"),
        "n/a",
    ]

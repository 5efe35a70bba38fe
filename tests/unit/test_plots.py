"""The pictures: what they draw, what they leave out, what they say, and that they are files of the same bytes."""

import base64
import math
import re
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from example_cases import tiny_case
from reports import case_trace, full_case, read_back, settings_of, table_rows, with_measures
from traces import GPU, S, host_samples, records, trace_of, write
from wanbench.analysis.tables import cases_table, stages_table
from wanbench.measure.outcome import Outcome
from wanbench.plots import style
from wanbench.plots.bars import energy, parts_of, stage_times
from wanbench.plots.picture import save
from wanbench.plots.pictures import draw_case
from wanbench.plots.segments import segments_of
from wanbench.plots.side_by_side import side_by_side
from wanbench.plots.steps import bars_of, step_times, steps_of
from wanbench.plots.time_memory import points_of, time_memory
from wanbench.plots.timeline import Panel, drawable, panels_of, timeline
from wanbench.telemetry.samples import Samples
from wanbench.trace.reader import Readings, Trace, read_counters, read_trace

GPU_READING = {
    "cpu_pct": 25.0,
    "process_mem_bytes": 4e9,
    "sm_activity_pct": 90.0,
    "tensor_activity_pct": 60.0,
    "gpu_mem_used_bytes": 30e9,
    "power_w": 600.0,
}
TRANSFERS = {"transfers": 2, "loading_s": 0.2, "offloading_s": 0.5, "loaded_bytes": 9, "offloaded_bytes": 9}


def panels(folder: Path, trace: dict[str, Any]) -> list[Panel]:
    file = write(folder, trace)
    return panels_of(read_counters(file), table_rows(read_trace(file))[1])


def texts(figure: Any) -> str:
    drawn = [text.get_text() for axes in figure.axes for text in [*axes.texts, *axes.get_yticklabels()]]
    return "\n".join([*drawn, *(text.get_text() for text in figure.texts)])


def grid(*traces: Trace) -> tuple[Any, Any]:
    return cases_table(traces), stages_table(traces)


# --- the timeline -----------------------------------------------------------------------------------------------


def test_many_readings_become_few_and_no_peak_of_memory_is_lost() -> None:
    values = [0.0] * 4001
    values[2000] = 7.0
    readings = Readings([0.1 * i for i in range(4001)], values)
    assert len(drawable(readings, "W").values) <= 801
    assert max(drawable(readings, "GB").values) == 7.0
    assert max(drawable(readings, "W").values) < 7.0
    assert drawable(readings, "W").times_s[-1] == readings.times_s[-1]


def test_what_lies_inside_a_stage_is_drawn_over_it_and_compilation_where_it_happened(tmp_path: Path) -> None:
    content = trace_of(records([5.0, 1.0, 4.0], experts=["high_noise", "high_noise", "low_noise"], compile_s=2.0))
    events = {event["name"]: event for event in content["traceEvents"] if event.get("cat") == "stage"}
    last, compiled, loading = (events[name] for name in ("Step_2_Inference", "Compilation", "Step_0_Loading"))
    last["args"]["time_s"] -= 3.0
    compiled["args"]["time_s"] += 3.0
    compiled["dur"] = last["ts"] + 3e6 - compiled["ts"]
    loading["dur"], loading["args"]["time_s"] = 2e5, 0.2
    events["Step_0_Inference"]["args"]["time_s"] -= 0.2
    segments = segments_of(table_rows(read_trace(write(tmp_path, content)))[1])
    names = [segment.stage for segment in segments]
    assert "Total_Execution" not in names
    assert names.index("TI2V_Preprocess") < names.index("T5_Encoding")
    assert names[-2:] == ["Compilation"] * 2
    pieces = segments[-2:]
    assert [round(part.end_s - part.start_s, 3) for part in pieces] == [2.0, 3.0]
    first = segments[names.index("Step_0_Inference")]
    assert first.start_s <= pieces[0].start_s < pieces[0].end_s <= first.end_s
    assert pieces[1].start_s == pytest.approx(last["ts"] / 1e6)
    looks = {segment.stage: segment.look for segment in segments}
    assert looks["Step_0_Loading"] is style.LOADING
    assert looks["Step_0_Inference"] is style.HIGH_NOISE
    assert looks["Step_2_Inference"] is style.LOW_NOISE


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        (None, {"CPU": ["machine", "measured process"], "Process memory": ["measured process"]}),
        (GPU_READING, {"GPU activity": ["SM", "tensor"], "GPU memory": ["device"], "Power": ["power"]}),
        ({"cpu_pct": 5.0, "sm_activity_pct": 50.0}, {"GPU activity": ["SM"]}),
        ({"sys_mem_bytes": 1e9}, {}),
    ],
)
def test_panels_and_lines_of_what_was_measured_only(
    tmp_path: Path, values: dict[str, float] | None, lines: dict[str, list[str]]
) -> None:
    found = panels(tmp_path, trace_of(records([1.0]), samples=host_samples(14.0, values)))
    assert {panel.name: list(panel.lines) for panel in found} == lines


def test_no_share_of_the_cpu_is_drawn_above_the_whole_and_gaps_stay_gaps(tmp_path: Path) -> None:
    samples = host_samples(14.0, {"cpu_pct": 112.0, "process_cpu_pct": 64.0})
    samples = replace(samples, times_ns=[time + (time > 7e9) * 10**9 for time in samples.times_ns])
    (drawn,) = panels(tmp_path, trace_of(records([1.0]), samples=samples))
    for name, highest in (("machine", 100.0), ("measured process", 64.0)):
        values = drawn.lines[name].values
        assert {value for value in values if not math.isnan(value)} == {highest}
        assert sum(map(math.isnan, values)) == 1


def test_a_timeline_says_what_it_shows(tmp_path: Path) -> None:
    rows = records([1.0], environment=GPU, peak_bytes=25_000_000_000, generations=2, warmup=1)
    trace = trace_of(rows, tiny_case(warmup=1, repeats=1), samples=host_samples(15.0, GPU_READING))
    file = write(tmp_path, trace)
    picture = timeline(*table_rows(read_trace(file)), read_counters(file))
    # The stages, and three panels on the same time axis.
    assert [axes.get_xlim() for axes in picture.figure.axes] == [picture.figure.axes[0].get_xlim()] * 4
    assert "0 (warm-up)\n1" in texts(picture.figure)
    assert "Timeline of tiny: 19.0 s" in picture.words


def test_a_case_that_never_began_has_an_empty_timeline(tmp_path: Path) -> None:
    """Its job was killed before its measured process had written anything."""
    trace = trace_of(records([1.0])[:1], outcome=Outcome("killed", "nothing was measured"))
    file = write(tmp_path, trace | {"total_duration_s": 0.0, "traceEvents": []})
    picture = timeline(*table_rows(read_trace(file)), read_counters(file))
    assert "): 0 s." in picture.words
    assert not picture.figure.axes[0].collections


# --- steps ------------------------------------------------------------------------------------------------------


def test_each_expert_has_its_bars_and_the_line_is_of_typical_steps(tmp_path: Path) -> None:
    experts = ["high_noise"] * 2 + ["low_noise"] * 2
    case, stages = table_rows(read_back(tmp_path, records([3.0, 1.0, 2.0, 1.5], experts=experts)))
    assert bars_of(steps_of(stages, 0))["look"].tolist() == [style.HIGH_NOISE] * 2 + [style.LOW_NOISE] * 2
    picture = step_times(case, stages)
    assert picture.words.splitlines()[0] == "Step times of tiny: 4 steps, 1.25 s/step."
    assert [list(line.get_ydata()) for line in picture.figure.axes[0].lines] == [[1.25, 1.25]]
    # A change of step time is a line, too.
    (axes,) = step_times(*table_rows(read_back(tmp_path, records([1.0] * 10 + [2.0] * 10)))).figure.axes
    assert any(list(line.get_xdata()) == [9.5, 9.5] for line in axes.lines)


def test_bars_are_medians_of_measured_generations_and_warm_up_stands_apart(tmp_path: Path) -> None:
    content = trace_of(records([2.0, 1.0], generations=3, warmup=1), tiny_case(warmup=1, repeats=2))
    for event in content["traceEvents"]:
        if event["name"] == "Step_1_Inference":
            event["args"]["time_s"] += event["args"]["generation"]
    case, stages = table_rows(read_trace(write(tmp_path, content)))
    assert bars_of(steps_of(stages, warmup=1)).loc[1, "inference_s"] == 2.5
    (axes,) = step_times(case, stages).figure.axes
    marks = {line.get_label(): list(line.get_ydata()) for line in axes.lines}
    assert marks["each measured generation"] == [2.0, 2.0, 2.0, 3.0]
    assert marks["warm-up generation"] == [2.0, 1.0]


# --- all cases --------------------------------------------------------------------------------------------------


def test_bars_of_the_grid_add_up_to_total_execution_and_weight_transfers_stand_apart(tmp_path: Path) -> None:
    rows = records([1.0, 2.0], generations=2, unnamed_s=0.5)
    content = with_measures(rows, "VAE_Decoding|Step_0_Loading", TRANSFERS, case=tiny_case(repeats=2))
    trace = read_trace(write(tmp_path, content))
    parts = parts_of(*grid(trace), "time_s").loc["tiny"]
    total = next(stage.measures["time_s"] for stage in trace.stages if stage.name == "Total_Execution")
    assert parts.sum() == pytest.approx(total)
    shown = (style.DENOISING, style.DECODING, style.TRANSFER, style.LOADING, style.UNACCOUNTED, style.FURTHER)
    # Of decoding's 3 s, 0.7 were transfers. Loading in steps is a stage of its own, here without length.
    assert parts[list(shown)].tolist() == pytest.approx([3.0, 2.3, 0.7, 0.0, 1.0, 7.75])
    assert "(2 generations)" in texts(stage_times(*grid(trace)).figure)


def test_energy_names_the_cases_without_a_figure(tmp_path: Path) -> None:
    known = with_measures(records([1.0]), "Total_Execution|VAE_Decoding", {"energy_j": 2500.0}, case=full_case("known"))
    picture = energy(*grid(read_trace(write(tmp_path, known)), case_trace(tmp_path, full_case("unknown", steps=1))))
    assert "Without a figure: unknown." in picture.words
    assert picture.words.splitlines()[0] == "Energy by stage of 1 case, 2.50 kJ."
    assert "2.50 kJ" in texts(picture.figure)
    (axes,) = picture.figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["known"]
    assert stage_times(*grid()).words.startswith("Time by stage: No case has a usable trace.")


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., Trace]:
    def of_settings(name: str, step_s: float, peak_gb: int = 60, **settings: Any) -> Trace:
        return case_trace(tmp_path, full_case(name, **settings), step_s, peak_bytes=peak_gb * 10**9)

    return of_settings


def test_time_and_memory_are_those_of_the_settings_with_their_front(run: Callable[..., Trace]) -> None:
    settings = settings_of(run("a", 1.0), run("b", 2.0, 20, offload="model"), run("c", 3.0, vae_tiling=True))
    assert points_of(settings)[["printed", "trade_off"]].values.tolist() == [
        ["stock", True],
        ["offload: model", True],
        ["vae_tiling: true", False],
    ]
    picture = time_memory(settings)
    drawn = texts(picture.figure)
    for words in ("1\nstock\n54.8 s, 60.0 GB", "2\noffload: model\n", "3\nvae_tiling: true\n"):
        assert words in drawn
    assert ": 3 settings." in picture.words


def test_stairs_never_rise_to_what_only_a_lossy_setting_beats(run: Callable[..., Trace]) -> None:
    settings = settings_of(run("a", 2.0), run("b", 1.0, 40, vae_tiling=True), run("c", 3.0, 20, offload="model"))
    assert points_of(settings)["trade_off"].all()
    axes, _ = time_memory(settings).figure.axes
    assert axes.lines[0].get_ydata()[1:].tolist() == [40, 40, 20, 20]
    # The only exact one is drawn, though neither is a trade-off.
    settings = settings_of(run("a", 1.0, 20), run("b", 2.0, 30, vae_tiling=True))
    assert not points_of(settings)["trade_off"].any()
    assert "1\nstock" in texts(time_memory(settings).figure)


# --- files ------------------------------------------------------------------------------------------------------


def test_files_are_made_and_the_same_data_gives_the_same_bytes(tmp_path: Path) -> None:
    samples = Samples([i * S // 10 for i in range(150) if not 50 < i < 60], [GPU_READING] * 141, 0.1, 0)
    file = write(tmp_path, trace_of(records([1.0, 2.0], environment=GPU), samples=samples))
    for folder in ("a", "b"):
        saved = draw_case(*table_rows(read_trace(file)), file, tmp_path / folder)
    drawn, again = (tmp_path / folder / "cases/tiny" for folder in ("a", "b"))
    names = sorted(path.name for path in drawn.iterdir())
    assert names == ["steps.svg", "timeline.svg"]
    for name in names:
        assert (drawn / name).read_bytes() == (again / name).read_bytes(), name
    assert ">GPU activity</" in (drawn / "timeline.svg").read_text("utf-8")
    assert all(picture.svg.startswith("<?xml") and picture.alt and picture.caption for picture in saved)


# --- frames side by side ----------------------------------------------------------------------------------------


@pytest.fixture
def lossy(tmp_path: Path) -> dict[str, Any]:
    """A row of the cases table whose frame 8 differs most from that of its baseline; frame 16 only one of them has."""
    noise = np.random.default_rng(0).integers(0, 200, (2, 90, 160, 3), dtype=np.uint8)
    changed = noise.copy()
    changed[0] += 1
    changed[1, :45] += 51
    for name, frames in (("stock", noise), ("tiled", changed)):
        (tmp_path / "frames" / name).mkdir(parents=True)
        for number, frame in zip((0, 8), frames):
            Image.fromarray(frame).save(tmp_path / f"frames/{name}/frame_{number:04d}.png")
    Image.fromarray(noise[0]).save(tmp_path / "frames/tiled/frame_0016.png")
    worst = {"psnr_db": 25.0, "psnr_worst_db": 17.0}
    return {"case": "tiled", "baseline": "stock", "difference": "lossy"} | worst


def test_the_frame_that_differs_most_is_shown_with_its_difference(lossy: dict[str, Any], tmp_path: Path) -> None:
    picture = side_by_side(lossy, tmp_path / "frames")
    stock, tiled, apart = (axes.images[0].get_array() for axes in picture.figure.axes)
    assert np.array_equal(stock, np.asarray(Image.open(tmp_path / "frames/stock/frame_0008.png")))
    assert np.array_equal(tiled, np.asarray(Image.open(tmp_path / "frames/tiled/frame_0008.png")))
    assert (apart[:45] == 255).all()
    assert (apart[45:] == 0).all()
    assert [axes.get_title(loc="left") for axes in picture.figure.axes] == [
        "baseline: stock",
        "tiled",
        "difference, 5 times",
    ]
    assert "Frame 8" in picture.words
    assert "17.0 dB" in picture.words


def test_a_picture_of_frames_is_small_and_holds_them_as_jpeg(lossy: dict[str, Any], tmp_path: Path) -> None:
    save({"frames": side_by_side(lossy, tmp_path / "frames")}, tmp_path / "plots")
    svg = (tmp_path / "plots/frames.svg").read_text()
    images = [Image.open(BytesIO(base64.b64decode(data))) for data in re.findall(r"image/jpeg;base64,([^\"]+)", svg)]
    assert [image.size for image in images] == [(160, 90)] * 3
    assert "image/png" not in svg
    # Of noise, which nothing makes smaller; 56 of them are a third of what a page may take.
    assert len(svg) < 40_000


@pytest.mark.parametrize(
    "changes", [{"difference": "rounding"}, {"psnr_db": math.inf}, {"psnr_db": None}, {"baseline": "x"}]
)
def test_equal_frames_have_no_picture(changes: dict[str, Any], lossy: dict[str, Any], tmp_path: Path) -> None:
    assert side_by_side(lossy | changes, tmp_path / "frames") is None

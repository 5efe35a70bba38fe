"""The pictures: what they draw, what they leave out, what they say, and that they are files of the same bytes."""

import itertools
import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from example_cases import tiny_case
from reports import case_trace, full_case, read_back, with_measures
from traces import GPU, LIMITS, S, host_samples, records, trace_of, write
from wanbench.analysis.choices import groups_of
from wanbench.analysis.tables import cases_table, stages_table
from wanbench.measure.outcome import Outcome
from wanbench.plots import style
from wanbench.plots.case_pictures import case_pictures
from wanbench.plots.grid_bars import bars_of as case_bars
from wanbench.plots.grid_bars import energy, stage_times
from wanbench.plots.labels import Label, clusters_of, middles_in
from wanbench.plots.panels import panels_of
from wanbench.plots.picture import save
from wanbench.plots.segments import segments_of
from wanbench.plots.series import drawable
from wanbench.plots.steps import bars_of as step_bars
from wanbench.plots.steps import step_times
from wanbench.plots.time_memory import points_of, time_memory
from wanbench.plots.timeline import timeline
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
Counters = dict[str, dict[str, Readings]]


def both(folder: Path, trace: dict[str, Any]) -> tuple[Trace, Counters]:
    file = write(folder, trace)
    return read_trace(file), read_counters(file)


def texts(figure: Any) -> str:
    drawn = [text.get_text() for axes in figure.axes for text in [*axes.texts, *axes.get_yticklabels()]]
    return "\n".join([*drawn, *(text.get_text() for text in figure.texts)])


def test_counters_are_read_by_track_and_line(tmp_path: Path) -> None:
    _, counters = both(tmp_path, trace_of(records([1.0]), samples=host_samples(0.3)))
    assert counters["CPU (%)"]["machine"] == Readings([0.0, 0.1, 0.2, 0.3], [25.0] * 4)
    assert counters["System memory (GB)"]["measured process"].values == [4.0] * 4
    assert "GPU power (W)" not in counters


def test_a_gap_is_nan_and_not_a_line() -> None:
    drawn = drawable(Readings([0.0, 0.1, 0.2, 0.6, 0.7], [1.0, 2.0, 3.0, 4.0, 5.0]))
    assert drawn.times_s == [0.0, 0.1, 0.2, 0.6, 0.6, 0.7]
    assert [i for i, value in enumerate(drawn.values) if math.isnan(value)] == [3]
    near = Readings([0.0, 0.35, 0.7], [1.0, 2.0, 3.0])
    assert drawable(near) == near


def test_many_readings_become_few_and_no_peak_of_memory_is_lost() -> None:
    values = [0.0] * 4001
    values[2000] = 7.0
    readings = Readings([0.1 * i for i in range(4001)], values)
    assert len(drawable(readings).values) <= 800
    assert max(drawable(readings, max).values) == 7.0
    assert max(drawable(readings).values) < 7.0
    assert drawable(readings).times_s[-1] == readings.times_s[-1]


def test_stages_become_pieces_that_do_not_overlap_and_keep_their_times(tmp_path: Path) -> None:
    trace = read_back(tmp_path, records([1.0, 2.0], compile_s=4.0))
    segments = segments_of(trace.stages)
    assert [(one.end_s <= other.start_s + 1e-6) for one, other in zip(segments, segments[1:])] == [True] * (
        len(segments) - 1
    )
    times_s: dict[str, float] = {}
    for segment in segments:
        times_s[segment.stage] = times_s.get(segment.stage, 0) + segment.end_s - segment.start_s
    expected = {stage.name: stage.measures["time_s"] for stage in trace.stages if stage.measures["time_s"]}
    del expected["Total_Execution"]
    assert times_s == pytest.approx(expected, abs=1e-3)


def test_compilation_of_a_second_expert_is_drawn_where_it_happened(tmp_path: Path) -> None:
    content = trace_of(records([5.0, 1.0, 4.0], experts=["high_noise", "high_noise", "low_noise"], compile_s=2.0))
    events = {event["name"]: event for event in content["traceEvents"] if event.get("cat") == "stage"}
    last, compiled = events["Step_2_Inference"], events["Compilation"]
    last["args"]["time_s"] -= 3.0
    compiled["args"]["time_s"] += 3.0
    compiled["dur"] = last["ts"] + 3e6 - compiled["ts"]
    trace = read_trace(write(tmp_path, content))
    pieces = [part for part in segments_of(trace.stages) if part.stage == "Compilation"]
    assert [round(part.end_s - part.start_s, 3) for part in pieces] == [2.0, 3.0]
    assert pieces[1].start_s == pytest.approx(last["ts"] / 1e6)


def test_loading_and_experts_look_different(tmp_path: Path) -> None:
    rows = records([1.0, 1.0], experts=["high_noise", "low_noise"])
    step = next(row["span"] for row in rows if row.get("kind") == "step")
    transfer = {
        "record": "transfers",
        "span": step,
        "direction": "load",
        "module": "transformer",
        "transfers": 1,
        "bytes": 9,
    }
    begin_ns = next(row["time_ns"] for row in rows if row.get("span") == step)
    rows.insert(
        rows.index(next(row for row in rows if row.get("span") == step)) + 1,
        transfer | {"intervals": [[begin_ns, begin_ns + S // 2]]},
    )
    segments = segments_of(read_back(tmp_path, rows).stages)
    looks = {segment.stage: segment.look for segment in segments}
    assert looks["Step_0_Loading"] is style.LOADING
    assert looks["Step_0_Inference"] is style.HIGH_NOISE
    assert looks["Step_1_Inference"] is style.LOW_NOISE


def test_panels_of_what_was_measured_only(tmp_path: Path) -> None:
    def names(values: dict[str, float] | None, **run: Any) -> list[str]:
        content = trace_of(records([1.0], **run), samples=host_samples(14.0, values))
        trace, counters = both(tmp_path, content)
        return [panel.name for panel in panels_of(counters, trace.stages)]

    assert names(None) == ["CPU", "Process memory"]
    assert names(GPU_READING, peak_bytes=9) == ["GPU activity", "GPU memory", "Power"]
    assert names({"cpu_pct": 5.0, "sm_activity_pct": 50.0}) == ["GPU activity"]
    assert names({"sys_mem_bytes": 1e9}) == []


def test_a_line_that_was_not_measured_is_not_drawn(tmp_path: Path) -> None:
    trace, counters = both(tmp_path, trace_of(records([1.0]), samples=host_samples(14.0, {"sm_activity_pct": 50.0})))
    (panel,) = panels_of(counters, trace.stages)
    assert [line.label for line in panel.lines] == ["SM"]


def test_no_share_of_the_cpu_is_drawn_above_the_whole(tmp_path: Path) -> None:
    reading = {"cpu_pct": 112.0, "process_cpu_pct": 64.0}
    trace, counters = both(tmp_path, trace_of(records([1.0]), samples=host_samples(14.0, reading)))
    (panel,) = panels_of(counters, trace.stages)
    assert [set(line.readings.values) for line in panel.lines] == [{100.0}, {64.0}]
    assert max(max(drawn.get_ydata()) for drawn in timeline(trace, counters).figure.axes[1].lines) == 100


def test_gaps_of_the_cpu_stay_gaps(tmp_path: Path) -> None:
    samples = host_samples(14.0, {"cpu_pct": 112.0, "process_cpu_pct": 64.0})
    samples = replace(samples, times_ns=[time + (time > 7e9) * 10**9 for time in samples.times_ns])
    trace, counters = both(tmp_path, trace_of(records([1.0]), samples=samples))
    for line in panels_of(counters, trace.stages)[0].lines:
        assert sum(map(math.isnan, line.readings.values)) == 1


def test_a_timeline_says_what_it_shows(tmp_path: Path) -> None:
    rows = records([1.0, 2.0], environment=GPU, peak_bytes=25_000_000_000)
    trace, counters = both(tmp_path, trace_of(rows, samples=host_samples(15.0, GPU_READING)))
    picture = timeline(trace, counters)
    # The stages, and three panels on the same time axis.
    assert len(picture.figure.axes) == 4
    assert len({axes.get_xlim() for axes in picture.figure.axes}) == 1
    assert picture.figure.axes[-1].get_xlabel() == "Time since the start of the process (s)"
    for words in ("Timeline of tiny:", "denoising 3.00 s", "GPU memory up to 30.0 GB", "Power up to 600 W"):
        assert words in picture.alt


def test_a_timeline_says_what_it_cannot_place(tmp_path: Path) -> None:
    transfers = {"transfers": 2, "loading_s": 0.2, "offloading_s": 0.5, "loaded_bytes": 9, "offloaded_bytes": 9}
    trace, counters = both(tmp_path, with_measures(records([1.0]), "VAE_Decoding|Step_0_Loading", transfers))
    said = "moves of weights outside the steps, of 0.7 s in VAE decoding, are not drawn apart"
    assert said in timeline(trace, counters).caption
    trace, counters = both(tmp_path, trace_of(records([1.0])))
    assert "moves of weights" not in timeline(trace, counters).caption


def test_generations_are_named_above_their_stages(tmp_path: Path) -> None:
    case = tiny_case(warmup=1, repeats=1)
    trace, counters = both(tmp_path, trace_of(records([5.0], generations=2, warmup=1), case))
    assert "0 (warm-up)\n1" in texts(timeline(trace, counters).figure)


@pytest.mark.parametrize(("last", "words"), [(9, "Model_Initialization"), (1, "Process_Startup")])
def test_a_failed_case_has_a_shorter_timeline(tmp_path: Path, last: int, words: str) -> None:
    outcome = Outcome("oom", "OutOfMemoryError", "no memory")
    trace, counters = both(tmp_path, trace_of(records([1.0])[:last], outcome=outcome))
    assert "ended with status oom" in timeline(trace, counters).alt
    picture = step_times(trace)
    assert "No denoising step ran to its end." in texts(picture.figure)
    assert not picture.figure.axes


def test_first_and_switch_steps_are_marked(tmp_path: Path) -> None:
    experts = ["high_noise"] * 2 + ["low_noise"] * 2
    trace = read_back(tmp_path, records([3.0, 1.0, 2.0, 1.5], experts=experts))
    assert [bar.marked for bar in step_bars(trace)] == ["first", "", "expert switch", ""]
    picture = step_times(trace)
    drawn = texts(picture.figure)
    for words in ("first\n3.00 s", "expert switch\n2.00 s", "median\n1.25 s"):
        assert words in drawn
    assert picture.alt == "Step times of tiny: 4 steps, median 1.25 s, first step 3.00 s, expert switch step 2.00 s."


def test_a_single_typical_step_is_called_no_median(tmp_path: Path) -> None:
    picture = step_times(read_back(tmp_path, records([3.0, 1.0, 2.0], experts=["high_noise"] * 2 + ["low_noise"])))
    assert "1 step\n1.00 s" in texts(picture.figure)
    assert (
        picture.alt
        == "Step times of tiny: 3 steps, 1 typical step 1.00 s, first step 3.00 s, expert switch step 2.00 s."
    )


def test_bars_are_medians_of_what_counts_and_warm_up_stands_apart(tmp_path: Path) -> None:
    case = tiny_case(warmup=1, repeats=2)
    content = trace_of(records([2.0, 1.0], generations=3, warmup=1), case)
    for event in content["traceEvents"]:
        if event["name"] == "Step_1_Inference":
            event["args"]["time_s"] += event["args"]["generation"]
    bars = step_bars(read_trace(write(tmp_path, content)))
    assert bars[1].times_s == (2.0, 3.0)
    assert bars[1].others_s == (1.0,)
    assert bars[1].inference_s == 2.5


def test_a_change_of_step_time_is_drawn(tmp_path: Path) -> None:
    trace = read_back(tmp_path, records([1.0] * 10 + [2.0] * 10))
    assert trace.quality["step_time_change"]["step"] == 10
    picture = step_times(trace)
    assert "change from 1.00 s to 2.00 s at step 10" in picture.alt
    (axes,) = picture.figure.axes
    assert any(list(line.get_xdata()) == [9.5, 9.5] for line in axes.lines)


def test_bars_of_the_grid_add_up_to_total_execution(tmp_path: Path) -> None:
    case = tiny_case(repeats=2)
    trace = read_back(tmp_path, records([1.0, 2.0], generations=2, unnamed_s=0.5), case=case)
    (bar,) = case_bars(cases_table([trace]), stages_table([trace]), "time_s")
    total = next(stage.measures["time_s"] for stage in trace.stages if stage.name == "Total_Execution")
    assert bar.total == pytest.approx(total)
    assert bar.parts[style.DENOISING] == pytest.approx(3.0)
    assert bar.parts[style.UNACCOUNTED] == pytest.approx(1.0)
    assert bar.parts[style.FURTHER] == pytest.approx(7.75)
    assert bar.ending == "2 generations"


def test_weights_that_move_within_a_stage_are_a_part_of_their_own(tmp_path: Path) -> None:
    transfers = {"transfers": 2, "loading_s": 0.2, "offloading_s": 0.5, "loaded_bytes": 9, "offloaded_bytes": 9}
    content = with_measures(records([1.0]), "VAE_Decoding|Step_0_Loading", transfers)
    trace = read_trace(write(tmp_path, content))
    (bar,) = case_bars(cases_table([trace]), stages_table([trace]), "time_s")
    times_s = {stage.name: stage.measures["time_s"] for stage in trace.stages}
    assert bar.parts[style.MOVING] == pytest.approx(0.7)
    assert bar.parts[style.DECODING] == pytest.approx(times_s["VAE_Decoding"] - 0.7)
    assert bar.parts[style.LOADING] == pytest.approx(times_s.get("Step_0_Loading", 0))
    assert bar.total == pytest.approx(times_s["Total_Execution"])


def test_a_case_that_never_came_to_its_stages_has_no_figure(tmp_path: Path) -> None:
    content = trace_of(records([1.0])[:1], outcome=Outcome("timeout", "TimeoutError", "too slow"))
    traces = [read_trace(write(tmp_path, content))]
    picture = stage_times(cases_table(traces), stages_table(traces))
    assert picture.alt == "Time by stage of 1 case: tiny timeout in Process_Startup."


def test_energy_names_the_cases_without_a_figure(tmp_path: Path) -> None:
    known = with_measures(records([1.0]), "Total_Execution|VAE_Decoding", {"energy_j": 2500.0}, case=full_case("known"))
    traces = [read_trace(write(tmp_path, known)), case_trace(tmp_path, full_case("unknown", steps=1))]
    picture = energy(cases_table(traces), stages_table(traces))
    assert "Without a figure: unknown" in texts(picture.figure)
    assert "known 2.50 kJ, most of it VAE decoding with 2.50 kJ; without a figure: unknown" in picture.alt
    (axes,) = picture.figure.axes
    assert [label.get_text() for label in axes.get_yticklabels()] == ["known"]


def test_pictures_without_any_data_say_so(tmp_path: Path) -> None:
    trace = read_back(tmp_path, records([1.0]))
    cases, stages = cases_table([trace]), stages_table([trace])
    assert energy(cases, stages).alt == "Energy by stage: No case has energy figures."
    assert "No two full-scale cases" in time_memory(cases, 2, 2.5).alt
    assert stage_times(cases_table([]), stages_table([])).alt == "Time by stage: No case has a usable trace."


def test_time_and_memory_are_those_of_the_choices_with_their_front(tmp_path: Path) -> None:
    def run(name: str, step_s: float, peak_gb: int, **settings: Any) -> Trace:
        return case_trace(tmp_path, full_case(name, **settings), step_s, peak_bytes=peak_gb * 10**9)

    traces = [run("fast", 1.0, 60), run("small", 2.0, 20, offload="model"), run("worse", 3.0, 60, vae_tiling=True)]
    cases = cases_table(traces)
    ((_, choices),) = groups_of(cases).items()
    points = points_of(choices, 2, 2.5)
    assert [(point.label, point.on_front) for point in points] == [
        ("fast", True),
        ("small", True),
        ("worse (lossy)", False),
    ]
    picture = time_memory(cases, 2, 2.5)
    drawn = texts(picture.figure)
    for point in points:
        assert f"{point.label}\n{point.text}" in drawn
    assert "Pareto front" in drawn
    assert "of 3 cases on the Pareto front are fast with 54.8 s, 60.0 GB; small with" in picture.alt


def test_cases_that_lie_on_one_another_share_a_label_that_names_each(tmp_path: Path) -> None:
    def run(name: str, step_s: float, **settings: Any) -> Trace:
        return case_trace(tmp_path, full_case(name, **settings), step_s, peak_bytes=60 * 10**9)

    picture = time_memory(cases_table([run("one", 1.0), run("other", 1.01, offload="model")]), 2, 2.5)
    assert "one\nother\n54.8 to 55.2 s, 60.0 GB" in texts(picture.figure)


def test_no_lines_to_labels_cross_and_no_labels_overlap() -> None:
    places = [(0.5 + (37 * i % 11) * 0.4, 0.2 + (53 * i % 7) * 0.5) for i in range(11)]
    labels = [Label(place, 0.2 + 0.1 * (i % 3)) for i, place in enumerate(places)]
    middles = middles_in(labels, 5.0, 4.0)
    order = sorted(range(len(labels)), key=lambda i: middles[i])
    for upper, lower in itertools.combinations(order, 2):
        assert middles[lower] - middles[upper] >= (labels[lower].height_in + labels[upper].height_in) / 2 - 1e-9
        from_in = max(places[upper][0], places[lower][0])
        heights = [
            places[i][1] + (middles[i] - places[i][1]) * (from_in - places[i][0]) / (5.0 - places[i][0])
            for i in (upper, lower)
        ]
        assert heights[0] <= heights[1] + 1e-9
    assert middles[order[0]] - labels[order[0]].height_in / 2 >= 0
    assert middles[order[-1]] + labels[order[-1]].height_in / 2 <= 4.0 + 1e-9


def test_places_that_touch_through_others_are_together() -> None:
    assert clusters_of([(0, 0), (0.2, 0), (0.1, 0), (1, 1)], 0.15) == [[0, 1, 2], [3]]


def test_a_trace_that_cannot_be_used_gives_pictures_that_say_why(tmp_path: Path) -> None:
    file = tmp_path / "broken.json"
    file.write_text("{")
    for picture in case_pictures(file, None, LIMITS).values():
        assert "Excluded:" in picture.alt
        assert picture.caption == ""
        assert "not valid JSON" in texts(picture.figure).replace("\n", " ")
    content = trace_of(records([1.0]))
    del next(event for event in content["traceEvents"] if event["ph"] == "C")["ts"]
    pictures = case_pictures(write(tmp_path, content), None, LIMITS)
    assert "a counter needs a name, a number ts and args" in pictures["timeline"].alt


def test_files_are_made_and_the_same_data_gives_the_same_bytes(tmp_path: Path) -> None:
    samples = Samples([i * S // 10 for i in range(150) if not 50 < i < 60], [GPU_READING] * 141, 0.1, 0)
    file = write(tmp_path, trace_of(records([1.0, 2.0], environment=GPU), samples=samples))
    for folder in ("a", "b"):
        save(case_pictures(file, None, LIMITS), "tiny", tmp_path / folder)
    names = sorted(path.name for path in (tmp_path / "a").iterdir())
    assert names == ["pictures.json", "steps.png", "steps.svg", "timeline.png", "timeline.svg"]
    for name in names:
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes(), name
    assert ">GPU activity</" in (tmp_path / "a/timeline.svg").read_text("utf-8")
    words = json.loads((tmp_path / "a/pictures.json").read_text("utf-8"))
    assert [(entry["file"], entry["case"]) for entry in words] == [("timeline", "tiny"), ("steps", "tiny")]

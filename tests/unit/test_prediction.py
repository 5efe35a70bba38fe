"""What cases are likely to take on a GPU of which only the datasheet is known."""

import re
from dataclasses import replace
from functools import cache
from statistics import median

import fit_prediction
import pytest

from conftest import ROOT
from example_cases import case_of_row, full_case, tiny_case
from wanbench.cases.case import Case
from wanbench.estimate.expected import kept_cases
from wanbench.estimate.gpu_facts import find_gpu
from wanbench.estimate.prediction import Prediction, predict, prediction_text
from wanbench.models.facts import MODELS
from wanbench.util.errors import InputError


def predicted(gpu: str, case: Case, **prices: float) -> Prediction:
    return predict(case, find_gpu(gpu), prices)


@cache
def kept_rows() -> list[dict[str, str]]:
    """Kept cases of one GPU that the model is of."""
    return [
        row
        for row in kept_cases(ROOT / "results/reference")
        if row["gpus"] == "1" and row["cache"] == row["quantization"] == "none" and row["step_s"]
        if row["vae_tiling"] != "True"
    ]


def test_kept_cases_lie_within_their_intervals() -> None:
    errors = []
    for row in kept_rows():
        found = predicted(row["gpu_name"], case_of_row(row))
        step_s = float(row["step_s"])
        assert found.step_s.low < step_s < found.step_s.high, (row["case"], found.step_s, step_s)
        if row["vae_decoding_s"]:
            # Single layers come and go: 6.7 s where the interval ends at 6.6.
            wider = 1.05 if row["offload"] == "sequential" else 1
            assert found.decoding_s.low < float(row["vae_decoding_s"]) < wider * found.decoding_s.high, row["case"]
        errors.append(abs(found.step_s.typical / step_s - 1))
    assert len(errors) > 50
    assert median(errors) < 0.1


def test_a_generation_at_the_official_steps() -> None:
    """Compiled TI2V-5B on an H200 took 108 s for 50 steps, at 0.99 of 700 W."""
    found = predicted("H200", full_case(compile="repeated_blocks", steps=3))
    assert found.total_s.typical == pytest.approx(108.2, rel=0.1)
    assert found.energy_j.low < 69_000 < found.energy_j.high
    found = predicted("A100 80GB", full_case(model="T2V-A14B"))
    parts_s = MODELS["T2V-A14B"].steps * found.step_s.typical + found.decoding_s.typical
    assert parts_s < found.total_s.typical < 1.01 * parts_s


def test_published_figures_are_held_against_numbers_fitted_without_their_gpu() -> None:
    held, own = fit_prediction.leave_one_out()
    assert len(held) == 46
    assert median(abs(each.error) for each in held) < 0.25
    assert sum(each.inside for each in held) >= 0.8 * len(held)
    assert {each.figure.gpu.name for each in own} == {"H200", "H100 SXM"}


def test_the_numbers_of_a_left_out_gpu_come_from_none_of_its_figures_and_hardly_move_with_a_datasheet() -> None:
    """A datasheet that was a thousandth off changed the figures of the H20 by 6 % where the fit stopped before its
    best, and their order did by 1 %. Two equally good fits are 0.6 % apart: the number of threads decides between them.
    """
    others = [each for each in fit_prediction.published() + fit_prediction.kept() if each.gpu.name != "H20"]
    off = [
        replace(each, gpu=replace(each.gpu, bandwidth=1.001 * each.gpu.bandwidth)) if "H100" in each.gpu.name else each
        for each in others
    ]
    nearby, reversed_ = fit_prediction.fitted(off), fit_prediction.fitted(others[::-1])
    for each in fit_prediction.leave_one_out()[0]:
        if each.figure.gpu.name == "H20":
            assert each.figure.predicted_s(nearby) == pytest.approx(each.predicted_s, rel=0.008)
            assert each.figure.predicted_s(reversed_) == pytest.approx(each.predicted_s, rel=0.008)
            assert each.predicted_s != each.figure.predicted_s(fit_prediction.fitted_without(frozenset()))


def test_the_page_and_the_numbers_are_those_of_the_figures() -> None:
    """But for the last digits, which depend on the processor and on how many threads add up."""
    for file, made, abs_tolerance in (
        (fit_prediction.NUMBERS_FILE, fit_prediction.prediction_yaml(), 0.0),
        # Whole percent.
        (fit_prediction.PAGE, fit_prediction.page(), 1.01),
    ):
        (words, numbers), (made_words, made_numbers) = map(words_and_numbers, (file.read_text("utf-8"), made))
        assert words == made_words
        assert numbers == pytest.approx(made_numbers, rel=0.02, abs=abs_tolerance)


def words_and_numbers(text: str) -> tuple[list[str], list[float]]:
    parts = re.split(r"([-+]?\d+(?:\.\d+)?)", text)
    return parts[::2], [float(number) for number in parts[1::2]]


def test_a_gpu_is_found_as_people_and_drivers_write_it_and_an_unknown_one_is_told_with_its_nearest() -> None:
    names = {"rtx4090": "RTX 4090", "NVIDIA GeForce RTX 4090": "RTX 4090", "NVIDIA L4": "L4", "a100-80gb": "A100 80GB"}
    names |= {"NVIDIA H100 80GB HBM3": "H100 SXM", "NVIDIA A100-SXM4-80GB": "A100 80GB"}
    assert {asked: find_gpu(asked).name for asked in names} == names
    for unknown, said in (
        ("H100", r"gpu=H100 is not known \(near: H100 SXM, H100 PCIe\); allowed: .*RTX 5090"),
        (4090, "near: RTX 4090"),
        *((nothing, r"is not known; allowed: H100 SXM, .*GB10") for nothing in (None, "")),
    ):
        with pytest.raises(InputError, match=said):
            find_gpu(unknown)


def test_what_memory_fits() -> None:
    """TI2V-5B allocates 25 GB with offload, 22.5 GB with weights a layer at a time, and 47 GB without."""
    ways = {offload: full_case(offload=offload) for offload in ("none", "model", "group")}
    assert {offload: predicted("RTX 4090", case).fits for offload, case in ways.items()} == {
        **{"none": "no", "model": "no", "group": "may"}
    }
    assert [predicted(gpu, ways["none"]).fits for gpu in ("L40S", "RTX PRO 6000", "H200")] == ["may", "yes", "yes"]


def test_no_figure_where_there_is_no_model() -> None:
    cases = [full_case(**settings) for settings in ({"gpus": 2}, {"cache": "first_block"}, {"attention": "sage"})]
    of_gb10 = predicted("GB10", full_case())
    assert None not in [of_gb10.why_none, *(predicted("H200", case).why_none for case in (*cases, tiny_case()))]
    assert of_gb10.fits == "yes"
    row = prediction_text([of_gb10], find_gpu("GB10"), "EUR").splitlines()[1]
    assert row.split()[:5] == ["full", "n/a", "n/a", "n/a", "n/a"]


def test_the_cost_is_of_the_hours_and_of_the_energy() -> None:
    case = full_case()
    assert predicted("L40S", case).cost is None
    found = predicted("L40S", case, gpu_hour=3.6, kwh=0.36)
    assert found.cost.typical == pytest.approx(found.total_s.typical * 1e-3 + found.energy_j.typical * 1e-7)
    assert "Cost (EUR)" in prediction_text([found], find_gpu("L40S"), "EUR").splitlines()[0]
    # Figures have the digits that their intervals support.
    headings, row = prediction_text([predicted("H200", case)], find_gpu("H200"), "EUR").splitlines()[:2]
    assert "Cost" not in headings
    assert row.split()[1:5] == ["2.2", "(1.7", "to", "2.8)"]

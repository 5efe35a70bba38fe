"""The search of `snakemake tune`: what it tries next, and what it takes."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tuning_machine import OOM, STEPS_ALONE, begun, by_name, goal, machine, play
from wanbench.tuning.goal import goal_of
from wanbench.tuning.trials import BEST, NOT_TRIED, OUT, SKIPPED, WORSE, Answer
from wanbench.tuning.tuning_result import result_of


def test_stock_comes_first_then_steps_on_top_of_the_best_so_far_then_decoding() -> None:
    seen = []
    search, answers = play(goal(), lambda settings: seen.append(settings["steps"]) or machine(settings))
    # Trials have few steps, and the winner is confirmed with more.
    assert (set(seen[:-1]), seen[-1]) == ({4}, 5)
    *names, confirmed = answers
    assert names == [
        "stock",
        "attention-flash",
        "attention-_flash_3",
        "attention-xformers",
        "attention-xformers_compile-repeated_blocks",
        "attention-xformers_compile-repeated_blocks_vae_memory_format-channels_last",
    ]
    assert (search.exact.name, f"{names[-1]}_confirmed") == (names[-1], confirmed)
    assert search.confirmed.answer == answers[confirmed]
    # Without an allowed loss nothing lossy is tried.
    assert search.lossy is None
    assert not any({"quantization", "matmul_tf32", "vae_dtype"} & trial.changed.keys() for trial in search.trials)
    failed = by_name(search)["attention-flash"]
    assert (failed.verdict, failed.reason) == (OUT, "error: needs the package flash")


def test_what_cannot_be_better_or_cannot_run_costs_no_trial() -> None:
    search, answers = play(goal(max_latent_error=1))
    skipped = {trial.name: trial.reason for trial in search.trials if trial.verdict == SKIPPED}
    best = search.exact.name.removesuffix("_vae_memory_format-channels_last")
    assert "needs a download" in skipped["attention-flash_hub"]
    assert "chooses it here" in skipped["attention-_native_cudnn"]
    assert all("random weights" in trial.reason for trial in search.trials if "cache" in trial.changed)
    assert "only with model: TI2V-5B" in skipped[best + "_timesteps-uniform"]
    assert not skipped.keys() & answers.keys()
    # An H200 multiplies bfloat16 as fast; a T4 does not at all.
    assert "bfloat16 is as fast on this GPU" in skipped.values()
    of_t4, _ = play(goal(max_latent_error=1), lambda settings: replace(machine(settings), gpu_compute_capability="7.5"))
    assert any(trial.answer for trial in of_t4.trials if trial.changed.get("dtype") == "float16")
    # Stock's trace says what is installed.
    without, _ = play(goal(), lambda settings: replace(machine(settings), packages="torch=2.11.0 xformers=0.0.34"))
    assert "needs the package flash-attn," in by_name(without)["attention-flash"].reason
    assert by_name(without)["attention-xformers"].answer
    # 8-bit integers were slower than bfloat16 on an H200.
    int8 = [
        [trial.verdict for trial in each.trials if trial.changed.get("quantization") == "int8_rowwise"]
        for each in (search, of_t4)
    ]
    assert int8 == [[SKIPPED], [OUT]]


@pytest.mark.parametrize(("factor", "winner"), [(0.98, "compile-repeated_blocks"), (1.2, "stock")])
def test_what_is_surely_faster_or_slower_is_not_measured_again(factor: float, winner: str) -> None:
    def noisy(settings: Mapping[str, Any]) -> Answer:
        step_s = 10 * (factor if "compile" in settings else 1)
        return replace(machine({}), step_s=step_s, step_error_s=0.04, video_s=40 * step_s)

    search, answers = play(goal(**STEPS_ALONE), noisy)
    assert list(answers) == ["stock", "compile-repeated_blocks", f"{winner}_confirmed"]
    assert search.exact.name == winner


def test_what_is_faster_by_chance_is_neither_the_best_so_far_nor_on_the_front() -> None:
    def noisy(settings: Mapping[str, Any]) -> Answer:
        # Its step is faster by less than both may be off, its decoding slower.
        changed = {"step_s": 6.59, "video_s": 250.0} if settings.get("compile") else {"step_s": 6.6}
        return replace(machine({}), step_error_s=1.0, **changed)

    wanted = goal(**STEPS_ALONE)
    search, _ = play(wanted, noisy, over_after=2)
    assert by_name(search)["compile-repeated_blocks"].verdict == WORSE
    assert search.best.name == "stock"
    assert [each["name"] for each in result_of(wanted, search, 1.0)["front"]] == ["stock"]


def test_two_of_which_neither_is_surely_faster_alternate_and_the_means_decide() -> None:
    times_s = iter([100.0, 97.0, 100.0, 97.0, 98.0, 101.0, 100.0])

    def noisy(settings: Mapping[str, Any]) -> Answer:
        return replace(machine({}), step_s=next(times_s), step_error_s=2.0)

    search, answers = play(goal(**STEPS_ALONE), noisy)
    names = ("stock", "compile-repeated_blocks")
    assert list(answers)[2:6] == [f"{names[i]}_final_{n}" for i, n in ((0, 1), (1, 1), (1, 2), (0, 2))]
    assert (search.exact.name, search.exact.verdict) == (names[1], BEST)
    # The other one, which was the best until then, is not any more.
    loser = by_name(search)[names[0]]
    assert (loser.verdict, loser.reason.endswith("slower of the two finalists")) == (WORSE, True)


def test_under_a_limit_of_memory_stock_runs_without_it_and_the_first_placement_that_fits_is_taken() -> None:
    search, answers = play(goal(gpu_memory_gb=24))
    trials = by_name(search)
    assert "gpu_memory_gb" not in trials["stock"].settings
    assert search.exact.changed == {"offload": "group_stream", "attention": "xformers"}
    assert search.exact.settings["gpu_memory_gb"] == 24
    assert {trials[name].verdict for name in ("limited", "offload-model")} == {SKIPPED}
    assert trials["limited"].reason.startswith("needs about 7")
    assert "compile" in trials["offload-group_stream_attention-xformers_compile-repeated_blocks"].reason
    assert list(answers)[:2] == ["stock", "offload-group_stream"]


def test_out_of_memory_is_an_answer_and_the_next_placement_is_tried() -> None:
    search, answers = play(goal(), lambda settings: machine(settings, memory_gb=32))
    assert answers["stock"].status == "oom"
    # Of a GPU whose memory is known now, the estimate says that `model` needs more.
    assert by_name(search)["offload-model"].verdict == SKIPPED
    assert search.exact.changed["offload"] == "group_stream"
    search, answers = play(goal(), lambda settings: machine(settings, memory_gb=33.9))
    assert (answers["stock"].status, answers["offload-model"].status) == ("oom", "oom")
    assert search.exact.changed["offload"] == "group_stream"


def test_what_needs_as_much_as_a_trial_that_ran_out_of_memory_is_skipped() -> None:
    search, answers = play(goal_of({"model": "TI2V-5B", "gpu_memory_gb": 24}), lambda settings: OOM)
    # Decoding needs most, which uniform timesteps leave as it is; another order of the VAE's weights is worth a trial.
    tried = ["stock", "offload-model_vae_memory_format-channels_last", "offload-group_stream", "offload-sequential"]
    assert list(answers) == tried
    assert by_name(search)["offload-sequential_timesteps-uniform"].verdict == SKIPPED
    # Where the steps ran, it was decoding that needed too much, which the way to offload the denoiser does not change.
    search, answers = play(
        goal_of({"model": "TI2V-5B", "gpu_memory_gb": 24}), lambda settings: replace(OOM, step_s=2.4)
    )
    assert list(answers) == tried[:3]
    assert by_name(search)["offload-sequential"].verdict == SKIPPED
    with_group, _ = play(goal(offload="group", min_psnr=30))
    assert with_group.exact.settings["offload"] == "group"


def test_where_nothing_fits_or_the_case_cannot_run_there_is_no_answer() -> None:
    search, _ = play(goal(), lambda _: Answer("oom", gpu_total_bytes=80e9))
    assert (search.exact, search.lossy, search.confirmed) == (None, None, None)
    assert {trial.verdict for trial in search.trials} == {OUT, SKIPPED}
    search, answers = play(goal(), lambda _: Answer("error", "scale: full needs a GPU"))
    assert list(answers) == ["stock"]
    assert search.trials[0].reason == "error: scale: full needs a GPU"


def test_a_loss_makes_a_faster_placement_possible() -> None:
    wanted = goal(gpu_memory_gb=24, max_latent_error=0.05)
    search, _ = play(wanted, lambda settings: machine(settings, loss={"float8_e4m3fn": 0.04}))
    assert search.exact.changed["offload"] == "group_stream"
    assert {"offload": "model", "layerwise_casting": "float8_e4m3fn"}.items() <= search.lossy.changed.items()
    assert search.lossy.answer.video_s < search.exact.answer.video_s


def test_where_only_a_loss_makes_anything_fit_exact_settings_are_tried_on_top_of_it() -> None:
    def decoding_needs_most(settings: Mapping[str, Any]) -> Answer:
        fits = "gpu_memory_gb" not in settings or "vae_dtype" in settings
        return machine(settings, loss={"bfloat16": 0.01}) if fits else OOM

    search, _ = play(goal_of({"model": "TI2V-5B", "gpu_memory_gb": 36, "min_psnr": 30}), decoding_needs_most)
    assert search.exact is None
    best = {"offload": "model", "vae_dtype": "bfloat16", "attention": "xformers", "compile": "repeated_blocks"}
    assert best.items() <= search.lossy.changed.items()
    assert search.confirmed


def test_where_stock_does_not_fit_losses_are_measured_against_what_has_its_video() -> None:
    wanted = {"model": "TI2V-5B", "min_psnr": 30}

    def small(settings: Mapping[str, Any]) -> Answer:
        # Decoding fits with its weights in another order, or where they move layer by layer.
        offload, order = settings.get("offload", "none"), settings.get("vae_memory_format")
        fits = (offload, order) == ("model", "channels_last") or offload == "sequential" or "vae_dtype" in settings
        if not fits or offload == "none":
            return replace(OOM, gpu_total_bytes=25.8e9)
        return machine(settings | {"offload": "group"}, loss={"bfloat16": 0.01})

    search, answers = play(goal_of(wanted), small)
    trials = by_name(search)
    assert search.exact.changed["vae_memory_format"] == "channels_last"
    # The exact winner rounds: what is only offloaded runs for the comparison.
    assert (trials["offload-sequential"].verdict, trials["offload-group_stream"].verdict) == ("reference", OUT)
    assert list(answers).index("offload-sequential") < next(i for i, name in enumerate(answers) if "vae_dtype" in name)
    assert search.lossy.changed["vae_dtype"] == "bfloat16"
    # What is faster is confirmed.
    assert search.confirmed.name == f"{search.lossy.name}_confirmed"
    # Where none of them fits, nothing lossy is tried.
    search, answers = play(
        goal_of(wanted), lambda settings: OOM if "vae_memory_format" not in settings else small(settings)
    )
    assert not any("vae_dtype" in name for name in answers)


def test_a_placement_that_a_loss_makes_possible_and_that_is_slower_is_not_built_upon() -> None:
    def slow_copies(settings: Mapping[str, Any]) -> Answer:
        answer = machine(settings, loss={"float8_e4m3fn": 0.04, "bfloat16": 0.01})
        slower = 3 if settings.get("offload") == "model" else 1
        return replace(answer, step_s=(answer.step_s or 0) * slower, video_s=(answer.video_s or 0) * slower)

    search, answers = play(goal(gpu_memory_gb=24, max_latent_error=0.05), slow_copies)
    # Nor is it the best while the search goes on, though better than the lossy ones before it.
    known = dict(list(answers.items())[: 2 + [*answers].index(next(name for name in answers if "layerwise" in name))])
    assert not begun(goal(gpu_memory_gb=24, max_latent_error=0.05), known)[0].best.is_lossy
    assert any("layerwise_casting" in name for name in answers)
    assert search.lossy.changed == search.exact.changed | {"vae_dtype": "bfloat16"}


@pytest.mark.parametrize(
    ("limits", "loss", "reason"),
    [
        ({"max_latent_error": 0.05}, {"fp8_rowwise": 0.04}, None),
        ({"max_latent_error": 0.03}, {"fp8_rowwise": 0.04}, "error of the latents: 0.04; allowed: 0.03"),
        ({"min_psnr": 45}, {"fp8_rowwise": 0.04}, "PSNR (dB): 40; allowed: from 45"),
        ({"max_latent_error": 0.05}, {}, "how much it changes the video is not known"),
    ],
)
def test_a_loss_is_taken_where_it_is_allowed_and_known(limits: dict, loss: dict, reason: str | None) -> None:
    search, _ = play(goal(**limits), lambda settings: machine(settings, loss=loss))
    trial = next(trial for trial in search.trials if trial.changed.get("quantization") == "fp8_rowwise")
    if reason is None:
        assert search.lossy.changed["quantization"] == "fp8_rowwise"
    else:
        assert (search.lossy, trial.verdict, trial.reason) == (None, OUT, reason)


@pytest.mark.parametrize("limit", [{"host_memory_gb": 10}, {"max_first_video_s": 20}])
def test_what_is_outside_of_a_limit_is_no_answer(limit: dict) -> None:
    search, _ = play(goal(**limit))
    assert search.exact is None
    assert f"allowed: {next(iter(limit.values()))}" in by_name(search)["stock"].reason


def test_when_the_time_is_over_the_best_so_far_is_confirmed_and_is_the_answer() -> None:
    search, answers = play(goal(), over_after=4)
    assert list(answers)[3:] == ["attention-xformers", "attention-xformers_confirmed"]
    assert (search.exact.name, search.confirmed.name) == ("attention-xformers", "attention-xformers_confirmed")
    assert by_name(search)["attention-xformers_compile-repeated_blocks"].verdict == NOT_TRIED


def test_it_goes_on_from_any_answers_that_are_there() -> None:
    whole, answers = play(goal(max_latent_error=1))
    names = list(answers)
    for count, name in enumerate(names):
        so_far, wanted = begun(goal(max_latent_error=1), {each: answers[each] for each in names[:count]})
        assert wanted == name
        if name == "attention-xformers_compile-repeated_blocks":
            # It is known while a stage is searched, too.
            assert so_far.best.name == "attention-xformers"
    again, _ = begun(goal(max_latent_error=1), dict(reversed(answers.items())))
    assert [(each.name, each.verdict) for each in again.trials] == [(each.name, each.verdict) for each in whole.trials]


def test_a_trial_that_ran_out_of_memory_is_not_repeated_whatever_disturbed_it() -> None:
    _, answers = play(goal(gpu_memory_gb=24), lambda _: replace(OOM, failed_checks="sampling_gaps"))
    assert not [name for name in answers if name.endswith("_again")]


@pytest.mark.parametrize(("check", "is_repeated"), [("other_process", True), ("output_not_finite", False)])
def test_a_disturbed_trial_is_repeated_and_a_video_of_no_numbers_is_out(check: str, is_repeated: bool) -> None:
    def disturbed(settings: Mapping[str, Any]) -> Answer:
        return replace(machine(settings), failed_checks=check if settings.get("compile") else "")

    search, answers = play(goal(**STEPS_ALONE), disturbed)
    again = [name for name in answers if name.endswith("_again")]
    assert again[:1] == ["compile-repeated_blocks_again"] * is_repeated
    assert check in by_name(search)["compile-repeated_blocks"].reason
    assert is_repeated or "compile" not in search.exact.changed

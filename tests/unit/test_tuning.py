"""The search of `snakemake tune`, on a machine whose answers are made by hand."""

import fcntl
import math
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from example_cases import IMAGE, full_case
from reports import made, made_tables
from traces import GPU, LIMITS, records, trace_of, write
from wanbench.cases.resolve import resolve_cases
from wanbench.cases.yaml_file import read_yaml
from wanbench.measure.kept_frames import keep_frames
from wanbench.measure.outcome import Outcome
from wanbench.report.render import rendered
from wanbench.tuning.drive import Tuning
from wanbench.tuning.goal import Goal, goal_of
from wanbench.tuning.search import Search
from wanbench.tuning.trials import BEST, NOT_TRIED, OUT, SKIPPED, WORSE, Answer, Trial, answers_of
from wanbench.tuning.tuning_result import result_of
from wanbench.util.errors import InputError

T2V = {"model": "T2V-A14B", "size": "832*480"}
# Seconds of a step: what each setting multiplies it by.
FASTER = {"xformers": 0.9, "repeated_blocks": 0.85, "fp8_rowwise": 0.8, "group_stream": 1.05}
# What leaves compilation alone to be tried.
STEPS_ALONE = {"attention": "native", "vae_memory_format": "contiguous"}
NOT_INSTALLED = ("flash", "_flash_3", "sage", "int8_rowwise")
OOM = Answer("oom", duration_s=20)
Machine = Callable[[Mapping[str, Any]], Answer]


def machine(settings: Mapping[str, Any], *, memory_gb: float = 141, loss: Mapping[Any, float] | None = None) -> Answer:
    """What a trial comes to: a model of a machine that is as simple as a search can be tested with."""
    if missing := [value for value in settings.values() if value in NOT_INSTALLED]:
        return Answer("error", f"needs the package {missing[0]}", duration_s=10)
    needed_gb = {"none": 66, "model": 34}.get(settings.get("offload", "none"), 14)
    if "layerwise_casting" in settings:
        needed_gb /= 2
    if needed_gb > min(memory_gb, settings.get("gpu_memory_gb", memory_gb)):
        return Answer("oom", duration_s=20, gpu_total_bytes=memory_gb * 1e9)
    step_s, decoding_s = 6.6, 3.0
    for value in settings.values():
        step_s *= FASTER.get(value, 1.0) if isinstance(value, str) else 1.0
    decoding_s *= 0.9 if "channels_last" in settings.values() else 1.0
    decoding_s *= 0.5 if "bfloat16" in settings.values() else 1.0
    lost = [error for value, error in (loss or {}).items() if value in settings.values()]
    return Answer(
        "ok",
        duration_s=45,
        video_s=40 * step_s + decoding_s + 1,
        first_video_s=40 * step_s + 50,
        step_s=step_s,
        step_spread_s=0.02,
        decoding_s=decoding_s,
        gpu_used_bytes=needed_gb * 1e9,
        gpu_total_bytes=memory_gb * 1e9,
        host_bytes=20e9,
        gpu_name="NVIDIA H200",
        gpu_compute_capability="9.0",
        attention_kernel="cudnn",
        latent_error=max(lost) if lost else None,
        psnr_db=40.0 if lost else None,
    )


def play(goal: Goal, answer: Machine = machine, over_after: int = 1000) -> tuple[Search, dict[str, Answer]]:
    """The finished search, and the answers of all trials in the order in which they ran."""
    answers: dict[str, Answer] = {}
    while (search := Search(goal, answers, over=len(answers) >= over_after)).wanted:
        assert search.wanted.name not in answers
        # As the run of the trial does: its name and its settings are allowed in a grid file.
        resolve_cases({"cases": {search.wanted.name: search.wanted.settings}}, "grid.yaml")
        answers[search.wanted.name] = answer(search.wanted.settings)
    return search, answers


def goal(**options: Any) -> Goal:
    return goal_of(T2V | options)


def by_name(search: Search) -> dict[str, Trial]:
    return {trial.name: trial for trial in search.trials}


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
    # 8-bit integers were slower than bfloat16 on an H200.
    int8 = [
        [trial.verdict for trial in each.trials if trial.changed.get("quantization") == "int8_rowwise"]
        for each in (search, of_t4)
    ]
    assert int8 == [[SKIPPED], [OUT]]


@pytest.mark.parametrize(("factor", "winner"), [(0.99, "compile-repeated_blocks"), (1.2, "stock")])
def test_what_is_faster_or_slower_beyond_the_spread_of_both_is_not_measured_again(factor: float, winner: str) -> None:
    def noisy(settings: Mapping[str, Any]) -> Answer:
        step_s = 10 * (factor if "compile" in settings else 1)
        return replace(machine({}), step_s=step_s, step_spread_s=0.04, video_s=40 * step_s)

    search, answers = play(goal(**STEPS_ALONE), noisy)
    assert list(answers) == ["stock", "compile-repeated_blocks", f"{winner}_confirmed"]
    assert search.exact.name == winner


def test_what_is_faster_by_chance_is_neither_the_best_so_far_nor_on_the_front() -> None:
    def noisy(settings: Mapping[str, Any]) -> Answer:
        # Its step is faster within the spread, its decoding slower.
        changed = {"step_s": 6.59, "video_s": 250.0} if settings.get("compile") else {"step_s": 6.6}
        return replace(machine({}), step_spread_s=1.0, **changed)

    wanted = goal(**STEPS_ALONE)
    search, _ = play(wanted, noisy, over_after=2)
    assert by_name(search)["compile-repeated_blocks"].verdict == WORSE
    assert search.best.name == "stock"
    assert [each["name"] for each in result_of(wanted, search, 1.0)["front"]] == ["stock"]


def test_two_whose_spreads_overlap_alternate_and_the_means_decide() -> None:
    times_s = iter([100.0, 97.0, 100.0, 97.0, 98.0, 101.0, 100.0])

    def noisy(settings: Mapping[str, Any]) -> Answer:
        return replace(machine({}), step_s=next(times_s), step_spread_s=2.0)

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
    begun = dict(list(answers.items())[: 2 + [*answers].index(next(name for name in answers if "layerwise" in name))])
    assert not Search(goal(gpu_memory_gb=24, max_latent_error=0.05), begun).best.is_lossy
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
        so_far = Search(goal(max_latent_error=1), {each: answers[each] for each in names[:count]})
        assert so_far.wanted.name == name
        if name == "attention-xformers_compile-repeated_blocks":
            # It is known while a stage is searched, too.
            assert so_far.best.name == "attention-xformers"
    again = Search(goal(max_latent_error=1), dict(reversed(answers.items())))
    assert [(each.name, each.verdict) for each in again.trials] == [(each.name, each.verdict) for each in whole.trials]


def test_a_trial_that_ran_out_of_memory_is_not_repeated_whatever_disturbed_it() -> None:
    _, answers = play(goal(gpu_memory_gb=24), lambda _: replace(OOM, failed_checks="sampling_gaps"))
    assert not [name for name in answers if name.endswith("_again")]


@pytest.mark.parametrize(("check", "is_repeated"), [("other_process", True), ("output_not_finite", False)])
def test_a_disturbed_trial_is_repeated_once_and_then_marked_and_a_video_of_no_numbers_is_out(
    check: str, is_repeated: bool
) -> None:
    def disturbed(settings: Mapping[str, Any]) -> Answer:
        return replace(machine(settings), failed_checks=check if settings.get("compile") else "")

    search, answers = play(goal(**STEPS_ALONE), disturbed)
    again = [name for name in answers if name.endswith("_again")]
    assert again[:1] == ["compile-repeated_blocks_again"] * is_repeated
    assert check in by_name(search)["compile-repeated_blocks"].reason
    assert is_repeated or "compile" not in search.exact.changed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gpu_memory": 24}, r"unknown key 'gpu_memory' \(did you mean 'gpu_memory_gb'\?\)"),
        ({"size": "832x480"}, r"size: \"832x480\" is not allowed \(did you mean '832\*480'\?\)"),
        ({"budget_min": 0}, "budget_min: 0 is not allowed; allowed: a number above 0"),
        ({"budget_min": math.inf}, "budget_min: Infinity is not allowed"),
        ({"min_psnr": math.nan}, "min_psnr: NaN is not allowed"),
        ({"steps": 2}, "steps: 2 is not allowed; allowed: from 3"),
        ({"max_first_video_s": 90, "repeats": 2}, "max_first_video_s is known of one video alone"),
        ({"name": "../a"}, "name"),
        ({"frames": 80}, "frames: 80 is not allowed"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        goal(**options)


def test_what_is_given_is_the_same_in_all_trials_and_names_and_places_follow_from_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given = {"attention": "xformers", "offload": "model", "seed": 7}
    search, _ = play(goal(**given))
    assert all(given.items() <= trial.settings.items() for trial in search.trials)
    assert goal(gpu_memory_gb=24).name == "T2V-A14B_832x480_24GB"
    assert goal(name="mine", unofficial_size="true").name == "mine"
    # Searches of other videos do not take each other's place, whatever is in the keys.
    assert goal(frames=41, offload="model").name == "T2V-A14B_832x480_frames-41_offload-model"
    names = {goal(prompt=prompt).name for prompt in ("a/b", "c" * 300)}
    assert len(names) == 2
    assert all(len(name) < 40 for name in names)
    # Snakemake leaves numbers in a list as texts.
    assert goal(guidance=["4", "3.5"]).fixed["guidance"] == [4, 3.5]
    monkeypatch.chdir(Path(IMAGE).parent)
    # Trials run in another folder.
    assert goal_of({"model": "I2V-A14B", "image": Path(IMAGE).name}).fixed["image"] == IMAGE


def test_answers_come_out_of_the_tables(tmp_path: Path) -> None:
    memory = {".*": {"gpu_mem_used_bytes": 30, "gpu_mem_allocated_bytes": 20}}
    good = made(tmp_path, full_case("a", steps=4), [9.0, 1.75, 2.0, 2.25], memory)
    failed = made(tmp_path, full_case("b", steps=4), outcome=Outcome("error", "broken", "ValueError"))
    tables = made_tables(good, failed)
    answers, row = answers_of(tables), tables.cases.to_dict("records")[0]
    a = answers["a"]
    # The spread of steps is half their range.
    assert (a.status, a.step_s, a.step_spread_s, a.decoding_s) == ("ok", 2.0, pytest.approx(0.25), 3.0)
    assert a.video_s == pytest.approx(row["cold_generation_s"] + 46 * 2.0)
    assert a.first_video_s == pytest.approx(row["total_duration_s"] + 46 * 2.0)
    assert (a.gpu_used_bytes, a.gpu_allocated_bytes, a.gpu_total_bytes) == (30, 20, row["gpu_mem_total_bytes"])
    assert (a.latent_error, a.psnr_db, a.message) == (None, None, "")
    assert (answers["b"].status, answers["b"].message) == ("error", "broken")


@pytest.mark.parametrize(
    ("confirmed", "words"),
    [
        ({"video_s": 290.0}, "**The two differ by 27 %**"),
        ({"video_s": 226.0}, "Measured once more: 226 s a video."),
        ({"status": "killed", "message": "ended by signal SIGKILL"}, "Not confirmed: killed: ended by signal SIGKILL."),
        ({"gpu_used_bytes": 200e9}, "Not confirmed: GPU memory used (GB): 200; allowed: 100."),
    ],
)
def test_what_the_confirmation_came_to_is_told(confirmed: dict, words: str) -> None:
    def answer(settings: Mapping[str, Any]) -> Answer:
        return replace(machine(settings), **(confirmed if settings["steps"] == 5 else {}))

    wanted = goal(**STEPS_ALONE, gpu_memory_gb=100)
    search, _ = play(wanted, answer)
    assert words in rendered("tune.md.j2", result=result_of(wanted, search, 60.0)).replace("\\", "")


def test_of_lossy_settings_that_were_not_tried_nothing_is_said_but_that(tmp_path: Path) -> None:
    wanted = goal(max_latent_error=1)
    for over_after, words in (
        (3, "No lossy settings were tried."),
        (1000, "Nothing within the allowed loss is faster."),
    ):
        search, _ = play(wanted, lambda settings: machine(settings, loss={"fp8_rowwise": 2.0}), over_after)
        search.lossy = None
        assert words in rendered("tune.md.j2", result=result_of(wanted, search, 60.0))


def tuning(folder: Path, program: str, **options: Any) -> Tuning:
    """A tuning in which a program stands in for Snakemake, with the target as its argument."""
    return Tuning(goal(**options), folder, [sys.executable, "-c", program], {"measure": "m", "env": "e"}, LIMITS)


def test_a_trial_without_a_trace_ends_the_tuning_with_what_its_log_says(tmp_path: Path) -> None:
    program = "import sys; print(sys.argv[1]); sys.exit('Nothing was started: 1 case needs a GPU')"
    with pytest.raises(InputError, match=r"stock left no trace(.|\n)*results/traces/stock.json\n.*1 case needs a GPU"):
        tuning(tmp_path, program).run()
    assert read_yaml(tmp_path / "grid.yaml") == {"cases": {"stock": T2V | {"steps": 4}}}


def test_the_time_to_confirm_is_kept_free(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Tuning, "_trace", lambda self, name: SimpleNamespace(total_duration_s=50, status="ok"))
    monkeypatch.setattr(Tuning, "_answer", lambda self, trial, answers: replace(machine({}), duration_s=60))
    search = tuning(tmp_path, "", budget_min=4).run()
    # After two minutes there is time for one trial more, and after three there is not.
    assert [*search.answers] == ["stock", "attention-flash", "stock_confirmed"]
    assert search.confirmed


def test_what_a_trial_changes_of_the_video_is_its_frames_beside_those_of_stock(tmp_path: Path) -> None:
    # What leaves decoding alone to be tried.
    fixed = STEPS_ALONE | {"compile": "none", "dtype": "bfloat16", "quantization": "none", "matmul_tf32": False}
    names = {"stock": 4, "vae_dtype-bfloat16": 4, "stock_confirmed": 5}
    (tmp_path / "results/traces").mkdir(parents=True)
    for name, steps in names.items():
        changed = {"vae_dtype": "bfloat16"} if "vae" in name else {}
        case = full_case(name, "T2V-A14B", steps=steps, **changed)
        trace = trace_of(records([2.0] * steps, environment=GPU, case=case), case)
        frames = np.full((9, 16, 16, 3), 100 + 10 * len(changed), dtype=np.uint8) / 255
        trace["kept"] = keep_frames(frames, np.ones((1, 1, 1, 1, 4), np.float32), tmp_path / "results/frames" / name)
        write(tmp_path / "results/traces", trace)
    search = tuning(tmp_path, "", **fixed, size=case.size, max_latent_error=0.1).run()
    answer = by_name(search)["vae_dtype-bfloat16"].answer
    # A mean squared error of 10**2, on average.
    assert (answer.latent_error, answer.psnr_db) == (0, pytest.approx(20 * math.log10(255 / 10), abs=0.5))


def test_a_loss_is_measured_against_stock_and_not_against_what_changes_it(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="attention: xformers changes the video that losses are measured against"):
        tuning(tmp_path, "", min_psnr=30, attention="xformers").run()


def test_a_folder_is_tuned_by_one_run_at_a_time(tmp_path: Path) -> None:
    with (tmp_path / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(InputError, match="is being tuned by another run"):
            tuning(tmp_path, "").run()


def test_a_trace_of_other_settings_or_of_other_code_is_measured_again(tmp_path: Path) -> None:
    case = full_case("stock", "T2V-A14B", steps=4)
    (tmp_path / "results/traces").mkdir(parents=True)
    write(tmp_path / "results/traces", trace_of(records([2.0] * 4, environment=GPU, case=case), case))
    same = {"size": case.size}
    other_code = replace(tuning(tmp_path, "", **same), digests={"measure": "other", "env": "e"})
    for other in (tuning(tmp_path, "", **same, seed=7), other_code):
        with pytest.raises(InputError, match="stock left no trace"):
            other.run()
    # What failed is tried again, though an answer to the search that had it.
    failed = full_case("stock", "T2V-A14B", steps=4, seed=3)
    file = tmp_path / "results/traces/stock.json"
    kept = file.read_bytes()
    rows = records([2.0] * 4, environment=GPU, case=failed)
    write(file.parent, trace_of(rows, failed, outcome=Outcome("error", "broken", "ValueError")))
    with pytest.raises(InputError, match="no trace was"):
        tuning(tmp_path, "import sys; sys.exit('no trace was made')", **same, seed=3).run()
    file.write_bytes(kept)
    # Of the same it is kept, and the next trial is asked for.
    with pytest.raises(InputError, match="attention-_native_cudnn left no trace"):
        tuning(tmp_path, "", **same).run()


def test_the_page_has_the_winner_to_paste_the_front_and_every_trial_with_its_reason() -> None:
    wanted = goal(gpu_memory_gb=24, max_latent_error=0.05)
    search, _ = play(wanted, lambda settings: machine(settings, loss={"float8_e4m3fn": 0.04}))
    result = result_of(wanted, search, 600.0)
    used = [each["answer"]["gpu_used_bytes"] for each in result["front"]]
    assert used == sorted(used, reverse=True)
    assert result["exact"]["yaml"] == (
        "cases:\n  tuned:\n    model: T2V-A14B\n    size: 832*480\n    offload: group_stream\n    attention: xformers\n"
    )
    page = rendered("tune.md.j2", result=result)
    assert result["exact"]["yaml"] in page
    assert result["lossy"]["yaml"] in page
    rows = [line for line in page.partition("## All trials")[2].splitlines() if line.startswith("|")]
    assert len(rows) == 2 + len(search.trials)
    assert "needs about 7" in page

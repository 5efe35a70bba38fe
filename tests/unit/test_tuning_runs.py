"""What is asked of `snakemake tune`, the runs of its trials, and the page that it writes."""

import fcntl
import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from example_cases import IMAGE, full_case
from reports import kept, made, made_tables
from traces import GPU, LIMITS, records, trace_of, write
from tuning_machine import STEPS_ALONE, T2V, by_name, goal, machine, play
from wanbench.cases.yaml_file import read_yaml
from wanbench.measure.kept_frames import keep_frames
from wanbench.measure.outcome import Outcome
from wanbench.report.render import rendered
from wanbench.tuning.drive import Tuning
from wanbench.tuning.goal import goal_of
from wanbench.tuning.trials import Answer, answers_of, surely_less
from wanbench.tuning.tuning_result import result_of
from wanbench.util.errors import InputError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gpu_memory": 24}, r"unknown key 'gpu_memory' \(did you mean 'gpu_memory_gb'\?\)"),
        ({"size": "832x480"}, r"size: \"832x480\" is not allowed \(did you mean '832\*480'\?\)"),
        ({"budget_min": 0}, "budget_min: 0 is not allowed; allowed: a number above 0"),
        ({"min_psnr": math.nan}, "min_psnr: NaN is not allowed"),
        ({"steps": 2}, "steps: 2 is not allowed; allowed: from 3"),
        ({"max_first_video_s": 90, "repeats": 2}, "max_first_video_s is known of one video alone"),
        ({"name": "../a"}, "name"),
    ],
)
def test_what_is_not_allowed_is_refused_by_name(options: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        goal(**options)


def test_what_is_given_is_the_same_in_all_trials_and_in_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
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
    # Three steps count: their mean is known better than any of them.
    assert (a.status, a.step_s, a.step_error_s, a.decoding_s) == ("ok", 2.0, pytest.approx(0.25 / 3**0.5), 3.0)
    assert a.video_s == pytest.approx(row["cold_generation_s"] + 46 * 2.0)
    assert a.first_video_s == pytest.approx(row["total_duration_s"] + 46 * 2.0)
    assert (a.gpu_used_bytes, a.gpu_allocated_bytes, a.gpu_total_bytes) == (30, 20, row["gpu_mem_total_bytes"])
    assert (a.latent_error, a.psnr_db, a.message) == (None, None, "")
    assert (answers["b"].status, answers["b"].message) == ("error", "broken")


def test_what_an_h200_gains_is_told_apart_from_how_steps_differ_and_from_transfers(tmp_path: Path) -> None:
    steps_s = {"before": [1.719, 1.744, 1.694], "uniform": [1.676, 1.704, 1.659], "channels": [1.717, 1.741, 1.696]}
    cases = [made(tmp_path, full_case(name, steps=4), [9.0, *times_s]) for name, times_s in steps_s.items()]
    before, uniform, channels = answers_of(made_tables(*cases)).values()
    assert surely_less(uniform, before, "steps")
    assert not surely_less(channels, before, "steps")
    # Of 12.7 s of decoding, bringing the weights took 7.
    (offloaded,) = answers_of(made_tables(kept("5B_704p_24GB"))).values()
    assert offloaded.decoding_s == pytest.approx(5.7, abs=0.1)


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
    monkeypatch.setattr(Tuning, "_answer", lambda self, trial: replace(machine({}), duration_s=60))
    timed = tuning(tmp_path, "", budget_min=4)
    search = timed.run()
    # After two minutes there is time for one trial more, and after three there is not.
    assert [*timed.answers] == ["stock", "attention-flash", "stock_confirmed"]
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
    other_code = tuning(tmp_path, "", **same)
    other_code.digests = {"measure": "other", "env": "e"}
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


def test_the_page_has_both_winners_to_paste_the_front_and_every_trial() -> None:
    wanted = goal(gpu_memory_gb=24, max_latent_error=0.05)
    search, _ = play(wanted, lambda settings: machine(settings, loss={"float8_e4m3fn": 0.04}))
    result = result_of(wanted, search, 600.0)
    used = [each["answer"]["gpu_used_bytes"] for each in result["front"]]
    assert used == sorted(used, reverse=True)
    page = rendered("tune.md.j2", result=result)
    assert all(result[winner]["yaml"] in page for winner in ("exact", "lossy"))
    assert page.partition("## All trials")[2].count("\n|") == 2 + len(search.trials)

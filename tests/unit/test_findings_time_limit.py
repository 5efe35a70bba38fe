"""What is said of a case that was ended for the time that it took."""

from pathlib import Path
from typing import Any

from reports import full_case, made, rules
from wanbench.measure.outcome import Outcome

ENDED = Outcome("timeout", "ended after timeout_s = 20 s")


def found(folder: Path, until: str, outcome: Outcome = ENDED, **settings: Any) -> dict[str, Any]:
    case = full_case(**{"steps": 10, "timeout_s": 20} | settings)
    return rules(made(folder, case, until=until, outcome=outcome))


def test_the_time_that_was_missing_is_told(tmp_path: Path) -> None:
    # 5 s to start, 2 to initialise, 0.75 to encode, six steps of 2 s and 0.5 s to end.
    finding = found(tmp_path, "Step_6")["timed_out"]
    assert finding.text == (
        "The case was ended after 20.25 s, with 6 of 10 steps done. At 2.00 s/step the others take 8.00 s, and what "
        "comes after them is not in that."
    )
    assert finding.advice == "Set `timeout_s: 43`, 1.5 times both together."
    assert finding.severity == "warning"


def test_steps_of_all_generations_count(tmp_path: Path) -> None:
    assert "with 6 of 30 steps done" in found(tmp_path, "Step_6", warmup=1, repeats=2)["timed_out"].text


def test_a_job_that_had_less_time_than_the_case_is_told_apart(tmp_path: Path) -> None:
    finding = found(tmp_path, "Step_6", timeout_s=14400)["timed_out"]
    assert finding.advice == "`timeout_s: 14400` should do: the next run asks the scheduler for all of it."


def test_without_a_typical_step_no_time_is_told(tmp_path: Path) -> None:
    finding = found(tmp_path, "Step_0")["timed_out"]
    assert finding.text.endswith("with 0 of 10 steps done.")
    assert finding.advice == "Raise `timeout_s`."


def test_other_ends_are_no_timeout(tmp_path: Path) -> None:
    assert "timed_out" not in found(tmp_path, "Step_6", Outcome("killed", "ended by signal SIGKILL"))
    assert "timed_out" not in rules(made(tmp_path, full_case(steps=3)))


def test_a_warm_up_tells_how_long_steps_take_too(tmp_path: Path) -> None:
    finding = found(tmp_path, "Step_3", steps=5, warmup=1)["timed_out"]
    assert "with 3 of 10 steps done. At 2.00 s/step the others take 14.00 s" in finding.text

"""The rule about a case that was ended for the time that it took."""

import math
import statistics
from collections.abc import Iterator

from wanbench.analysis.numbers import fixed
from wanbench.findings.basis import WARNING, Context, Finding, Rule
from wanbench.registry import stages as stage_names

# What else may take longer the next time: other steps, decoding and export.
_MARGIN = 1.5


def _timed_out(context: Context) -> Iterator[Finding]:
    case, took_s = context.case, context.number("total_duration_s")
    if case["status"] != stage_names.TIMEOUT or took_s is None:
        return
    whole = [
        stage for stage in context.stages if stage_names.step_index(stage["stage"]) is not None and _is_whole(stage)
    ]
    done = len(whole)
    of_all = int(case["steps"]) * int(case["warmup"] + case["repeats"])
    text = f"The case was ended after {fixed(took_s)} s, with {done} of {of_all} steps done."
    evidence = {"total_duration_s": took_s, "steps_done": float(done), "steps": float(of_all)}
    # In a warm-up no step counts, and they take as long all the same.
    later_s = [stage["time_s"] for stage in whole if stage["step"] > 0]
    step_s = context.number("step_s") or (statistics.fmean(later_s) if later_s else None)
    if step_s is None:
        yield Finding("timed_out", WARNING, evidence, text, "Raise `timeout_s`.")
        return
    left_s = (of_all - done) * step_s
    needed_s = math.ceil(_MARGIN * (took_s + left_s))
    text += f" At {fixed(step_s)} s/step the others take {fixed(left_s)} s, and what comes after them is not in that."
    # A job may have had less time than the case.
    enough = needed_s <= case["timeout_s"]
    advice = (
        f"`timeout_s: {case['timeout_s']:g}` should do: the next run asks the scheduler for all of it."
        if enough
        else f"Set `timeout_s: {needed_s}`, {_MARGIN:g} times both together."
    )
    evidence |= {"step_s": step_s, "left_s": left_s, "needed_s": float(needed_s)}
    yield Finding("timed_out", WARNING, evidence, text, advice)


def _is_whole(stage: dict) -> bool:
    return stage["stage"] == stage_names.step_inference(stage["step"]) and not stage["interrupted"]


RULES = (
    Rule(
        "timed_out",
        "The case took longer than its `timeout_s`, or than the time that its job had, and was ended. Steps that were "
        "done count in all generations, warm-ups too; those that were left are taken to be as long as s/step. With "
        "that and half as much again a limit is named. Where nothing but the job's time was short, the next run asks "
        "for more by itself.",
        _timed_out,
    ),
)

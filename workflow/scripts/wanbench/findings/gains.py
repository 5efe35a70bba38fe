"""What the setting of a neighbour brought and cost there, in figures, and whether it is worth advising."""

from collections.abc import Sequence

from wanbench.analysis.case_rows import CaseRow
from wanbench.analysis.comparable import (
    COLD,
    WARM,
    AtSteps,
    at_steps,
    has_kind,
    host_mem_bytes,
    is_lossy,
    is_of_one_step,
    kinds_compared,
    known,
)
from wanbench.analysis.numbers import fixed, gigabytes
from wanbench.analysis.one_factor_pairs import Neighbour
from wanbench.findings.basis import Context, matches
from wanbench.models.facts import MODELS

# Nearer to each other than this, two figures print as the same.
_ALIKE = 0.005
# Typical steps of equal cases on two H200 differ by up to 2.3 %.
_ALIKE_ELSEWHERE = 0.025
# These act on the denoiser's steps alone.
_OF_STEPS = ("compile", "attention")
# Less is not worth a word.
_FEW_BYTES, _SHORT_S = 1e9, 1.0


def speed_ratio(case: CaseRow, neighbour: Neighbour, steps: int | None = None) -> float | None:
    """How many times faster the neighbour makes a video, at a number of steps (else the case's); above 1 is faster."""
    steps = steps or int(case["steps"])
    own_s, other_s = (generation.time_s for generation in _held_together(case, neighbour.row, steps))
    return own_s / other_s if own_s and other_s and other_s > 0 else None


def _held_together(case: CaseRow, other: CaseRow, steps: int) -> tuple[AtSteps, AtSteps]:
    own_kind, other_kind = kinds_compared(case, other)
    return at_steps(case, steps, own_kind), at_steps(other, steps, other_kind)


def step_gain_pct(case: CaseRow, neighbour: Neighbour) -> float | None:
    """By how much the case's s/step is longer than the neighbour's."""
    own_s, other_s = known(case["step_s"]), known(neighbour.row["step_s"])
    return 100 * (own_s / other_s - 1) if own_s and other_s else None


def speeds_up(context: Context, neighbour: Neighbour) -> bool | None:
    """Whether the neighbour's setting made it faster by more than equal cases (and GPUs) differ; None if not known."""
    limits = context.thresholds
    if neighbour.key in _OF_STEPS:
        gain_pct = step_gain_pct(context.case, neighbour)
        least_pct = limits.no_effect_compile_pct if neighbour.key == "compile" else limits.no_effect_attention_pct
        if not neighbour.same_gpu:
            least_pct = max(least_pct, 100 * _ALIKE_ELSEWHERE)
        return None if gain_pct is None else gain_pct >= least_pct
    ratio = speed_ratio(context.case, neighbour)
    return None if ratio is None else 100 * (ratio - 1) >= limits.faster_elsewhere_pct


def advisable(context: Context, setting: str) -> bool:
    """Whether a setting may be advised for speed: not where the same GPU showed that it brings none."""
    shown = (near for near in context.neighbours if near.same_gpu and near.setting == setting)
    return not any(speeds_up(context, near) is False for near in shown)


def measured_here(context: Context, advised: Sequence[str], for_speed: bool) -> str:
    """What other cases show of settings that are advised, in sentences; empty where none was measured.

    Args:
        for_speed: a setting that brought none is named as such.
    """
    gains: list[str] = []
    without: list[str] = []
    for neighbour in context.neighbours:
        if any(matches(advice, neighbour.setting) for advice in advised):
            helped = not for_speed or speeds_up(context, neighbour) is not False
            (gains if helped else without).append(_described(context.case, neighbour))
    sentences = [f"Measured here: {'; '.join(gains)}."] if gains else []
    return " ".join(
        [*sentences, *([f"Measured here without a clear gain in speed: {'; '.join(without)}."] if without else [])]
    )


def costs_quality(case: CaseRow, neighbour: Neighbour) -> bool:
    """Whether the neighbour's setting is lossy, and what the case has is not."""
    return is_lossy(neighbour.row) and not is_lossy(case)


def _described(case: CaseRow, neighbour: Neighbour) -> str:
    elsewhere = "" if neighbour.same_gpu else ", on another GPU of this kind"
    lossy = " (lossy)" if costs_quality(case, neighbour) else ""
    return f"`{neighbour.setting}`{lossy} (case {neighbour.row['case']}{elsewhere}): {gain_text(case, neighbour)}"


def gain_text(case: CaseRow, neighbour: Neighbour) -> str:
    """What the neighbour's setting brings and costs, in figures: time, memory and energy of one generation."""
    texts = [*_step_speed(case, neighbour), *_once(case, neighbour), *_memory(case, neighbour)]
    if only_steps_compare(neighbour):
        return ", ".join(texts)
    return ", ".join([*_speed(case, neighbour), *texts, *_energy(case, neighbour)])


def only_steps_compare(neighbour: Neighbour) -> bool:
    """Whether the rest of a generation differs by the machine and not by the setting: it moves weights and encodes."""
    return not neighbour.same_gpu and neighbour.key in _OF_STEPS


def _speed(case: CaseRow, neighbour: Neighbour) -> list[str]:
    ratio, steps, official = speed_ratio(case, neighbour), int(case["steps"]), MODELS[case["model"]].steps
    if ratio is None:
        return []
    notes = _kinds(case, neighbour.row)
    notes += [] if neighbour.same_steps else [f"scaled from {neighbour.row['steps']} steps"]
    text = f"{_in_words(ratio)} per generation of {steps} steps{_in_brackets(notes)}"
    if official != steps and (full := speed_ratio(case, neighbour, official)) is not None:
        one = ["from 1 step"] if _one_step(case, neighbour) else []
        text += f" and {_in_words(full)} at the official {official} steps{_in_brackets(['scaled', *one])}"
    return [text]


def _kinds(case: CaseRow, other: CaseRow) -> list[str]:
    """Which generations are compared, where a figure that the report shows first is of another kind."""
    own, others = kinds_compared(case, other)
    kinds_differ = own != others or (own == COLD and (has_kind(case, WARM) or has_kind(other, WARM)))
    return [f"{others} against {own}"] if kinds_differ else []


def _in_brackets(notes: Sequence[str]) -> str:
    return f" ({', '.join(notes)})" if notes else ""


def _one_step(case: CaseRow, neighbour: Neighbour) -> bool:
    return is_of_one_step(case) or is_of_one_step(neighbour.row)


def _step_speed(case: CaseRow, neighbour: Neighbour) -> list[str]:
    gain_pct = step_gain_pct(case, neighbour)
    if gain_pct is None:
        return []
    notes = ["from 1 step"] if _one_step(case, neighbour) else []
    if abs(gain_pct) < 100 * (_ALIKE if neighbour.same_gpu else _ALIKE_ELSEWHERE):
        if not only_steps_compare(neighbour):
            return []
        notes.append("no more than two GPUs differ by")
    return [f"{fixed(neighbour.row['step_s'])} s/step instead of {fixed(case['step_s'])}{_in_brackets(notes)}"]


def _in_words(ratio: float) -> str:
    if abs(ratio - 1) < _ALIKE:
        return "as fast"
    return f"{ratio:.2f}x faster" if ratio > 1 else f"{1 / ratio:.2f}x slower"


def _once(case: CaseRow, neighbour: Neighbour) -> list[str]:
    """What is paid at each start of a process."""
    texts = []
    compile_s = known(neighbour.row["compilation_s"])
    if neighbour.key == "compile" and compile_s:
        texts.append(f"after {fixed(compile_s)} s of compilation once for each process")
    own_s, other_s = known(case["placement_s"]), known(neighbour.row["placement_s"])
    if neighbour.key == "offload" and None not in (own_s, other_s) and abs(other_s - own_s) >= _SHORT_S:
        texts.append(f"{fixed(other_s)} s instead of {fixed(own_s)} to place the weights once for each process")
    return texts


def _memory(case: CaseRow, neighbour: Neighbour) -> list[str]:
    texts = []
    own, other = (known(row["gpu_mem_allocated_bytes"]) for row in (case, neighbour.row))
    if own is not None and other is not None:
        alike = abs(other - own) < _ALIKE * own
        texts.append("the same GPU memory" if alike else f"{_more(other - own)} GPU memory")
    own, other = _host_bytes(case, neighbour.row)
    if own is not None and other is not None and abs(other - own) >= _FEW_BYTES:
        texts.append(f"{_more(other - own)} host memory")
    return texts


def _host_bytes(*cases: CaseRow) -> list[float | None]:
    """Memory of cases on the host by one measure: the machine's, where processes of one of them share pages."""
    shared = any(host_mem_bytes(case) != known(case["process_mem_bytes"]) for case in cases)
    return [known(case["sys_mem_bytes" if shared else "process_mem_bytes"]) for case in cases]


def _more(change_bytes: float) -> str:
    return f"{gigabytes(abs(change_bytes))} GB {'more' if change_bytes > 0 else 'less'}"


def energy_change_pct(case: CaseRow, other: CaseRow, steps: int | None = None) -> float | None:
    """By how much the other case takes more energy for a generation, at a number of steps (else the case's)."""
    steps = steps or int(case["steps"])
    own_j, other_j = (generation.energy_j for generation in _held_together(case, other, steps))
    return 100 * (other_j / own_j - 1) if own_j and other_j else None


def _energy(case: CaseRow, neighbour: Neighbour) -> list[str]:
    """Energy of a generation of the case's steps, and of the official ones: what is paid once weighs less there."""
    change_pct, official = energy_change_pct(case, neighbour.row), MODELS[case["model"]].steps
    if change_pct is None:
        return []
    text = f"{'the same' if _is_alike(change_pct) else _changed(change_pct)} energy"
    full_pct = None if official == int(case["steps"]) else energy_change_pct(case, neighbour.row, official)
    if full_pct is None:
        return [text]
    full = "as much" if _is_alike(full_pct) else _changed(full_pct)
    return [f"{text} ({full} at the official {official} steps)"]


def _is_alike(change_pct: float) -> bool:
    return abs(change_pct) < 1


def _changed(change_pct: float) -> str:
    return f"{abs(change_pct):.0f} % {'more' if change_pct > 0 else 'less'}"

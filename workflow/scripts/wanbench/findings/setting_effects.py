"""Rules about settings, from cases that differ in one: what had no effect, and what would be faster."""

from collections.abc import Iterator
from dataclasses import dataclass

from wanbench.analysis.comparable import is_of_one_step, known
from wanbench.analysis.numbers import fixed, gigabytes
from wanbench.analysis.one_factor_pairs import Neighbour, alike_warm
from wanbench.findings.advice import alternatives
from wanbench.findings.basis import NOTE, Context, Finding, Rule, matches
from wanbench.findings.gains import costs_quality, gain_text, only_steps_compare, speed_ratio
from wanbench.models.facts import MODELS

# What each setting is for, where it has another value than the plain one.
_PLAIN = {"compile": "none", "attention": "native", "vae_tiling": "false", "vae_dtype": "float32", "offload": "none"}


def _no_effect(context: Context) -> Iterator[Finding]:
    yield from _unused_cache(context)
    for neighbour in context.neighbours:
        if neighbour.value != _PLAIN.get(neighbour.key) or not neighbour.same_gpu:
            continue
        if neighbour.key in ("compile", "attention"):
            yield from _same_step(context, neighbour)
        else:
            yield from _same_peak(context, neighbour)


def _unused_cache(context: Context) -> Iterator[Finding]:
    reused, passes = context.number("passes_reused"), context.number("passes")
    if context.case["cache"] == "none" or reused != 0 or not passes:
        return
    random = " These weights are random: real ones may differ." if context.case["weights"] == "random" else ""
    text = (
        f"`cache: {context.case['cache']}` served in none of {passes:.0f} passes at `cache_threshold: "
        f"{context.case['cache_threshold']:g}`.{random}"
    )
    advice = "Raise the threshold, or set `cache: none`."
    evidence = {"passes_reused": reused, "passes": passes}
    yield Finding("no_effect", NOTE, evidence, text, advice, alternatives("cache: none"))


def _same_step(context: Context, neighbour: Neighbour) -> Iterator[Finding]:
    own_s, plain_s = context.number("step_s"), known(neighbour.row["step_s"])
    if not own_s or not plain_s:
        return
    gain_pct = 100 * (plain_s / own_s - 1)
    limits = context.thresholds
    # Compilation must pay for itself; another attention costs nothing but what it makes slower.
    least_pct = limits.no_effect_compile_pct if neighbour.key == "compile" else limits.no_effect_attention_pct
    if gain_pct >= least_pct:
        return
    one = " (from 1 step)" if is_of_one_step(context.case) or is_of_one_step(neighbour.row) else ""
    longer_pct = 100 * (own_s / plain_s - 1)
    effect = f"makes steps {longer_pct:.1f} % longer" if longer_pct >= least_pct else "gives no speed"
    text = (
        f"`{neighbour.key}: {context.case[neighbour.key]}` takes {fixed(own_s)} s/step, and case "
        f"{neighbour.row['case']} with `{neighbour.setting}` {fixed(plain_s)}{one}: the setting {effect} here."
    )
    evidence = {"step_s": own_s, "plain_step_s": plain_s, "gain_pct": gain_pct}
    yield _back_to(neighbour, evidence, text)


def _same_peak(context: Context, neighbour: Neighbour) -> Iterator[Finding]:
    own, plain = context.number("gpu_mem_allocated_bytes"), known(neighbour.row["gpu_mem_allocated_bytes"])
    if not own or not plain:
        return
    saved_pct = 100 * (1 - own / plain)
    if saved_pct >= context.thresholds.no_effect_memory_pct:
        return
    value = str(context.case[neighbour.key]).lower()
    text = (
        f"`{neighbour.key}: {value}` peaks at {gigabytes(own)} GB, and case {neighbour.row['case']} with "
        f"`{neighbour.setting}` at {gigabytes(plain)} GB: the setting saves no memory here."
    )
    evidence = {"peak_bytes": own, "plain_peak_bytes": plain, "saved_pct": saved_pct}
    yield _back_to(neighbour, evidence, text)


def _back_to(neighbour: Neighbour, evidence: dict[str, float], text: str) -> Finding:
    return Finding("no_effect", NOTE, evidence, text, f"Set `{neighbour.setting}`.", alternatives(neighbour.setting))


@dataclass(frozen=True)
class _Faster:
    """A neighbour that is faster, and how many times: at this case's number of steps, and at the official one."""

    neighbour: Neighbour
    ratio: float
    official_ratio: float

    def is_beaten_by(self, other: "_Faster") -> bool:
        """Whether another value of the same setting is faster still, in no more memory and at no cost of quality."""
        own, others = (known(each.neighbour.row["gpu_mem_allocated_bytes"]) for each in (self, other))
        if own is None or others is None or other.neighbour.key != self.neighbour.key:
            return False
        if costs_quality(self.neighbour.row, other.neighbour):
            return False
        return other.ratio > self.ratio and other.official_ratio > self.official_ratio and others <= own


def _faster_elsewhere(context: Context) -> Iterator[Finding]:
    faster = [each for neighbour in context.neighbours if (each := _as_faster(context, neighbour))]
    for each in faster:
        neighbour = each.neighbour
        if any(matches(advice, neighbour.setting) for advice in context.advised):
            continue
        if any(each.is_beaten_by(other) for other in faster):
            continue
        lossy = " (lossy)" if costs_quality(context.case, neighbour) else ""
        elsewhere = "" if neighbour.same_gpu else " (on another GPU of this kind)"
        differs = (
            f"differs only in `{neighbour.setting}`{lossy}"
            if neighbour.same_steps
            else f"differs in `{neighbour.setting}`{lossy} and in its {neighbour.row['steps']} steps,"
        )
        text = f"Case {neighbour.row['case']}{elsewhere} {differs} and is {gain_text(context.case, neighbour)}."
        ratios = {"speed_ratio": each.ratio, "official_steps_speed_ratio": each.official_ratio}
        evidence = ratios | _memory_change(context, neighbour)
        yield Finding("faster_elsewhere", NOTE, evidence, text, advised=alternatives(neighbour.setting))


def _as_faster(context: Context, neighbour: Neighbour) -> _Faster | None:
    """None where it is not faster by what counts, or only in a short preview, which does not speak for a setting."""
    # More GPUs are no setting that who has one could choose: parallel_efficiency tells what they bring.
    if neighbour.key == "gpus":
        return None
    # Of these another GPU tells no more than the times of steps.
    if not alike_warm(context.case, neighbour.row) or only_steps_compare(neighbour):
        return None
    limits = context.thresholds
    ratio, official = (speed_ratio(context.case, neighbour, steps) for steps in _numbers_of_steps(context))
    if ratio is None or official is None:
        return None
    if neighbour.same_gpu:
        least = 1 + limits.faster_elsewhere_pct / 100
        counts = official >= least or (ratio >= least and official >= 1)
    else:
        counts = min(ratio, official) >= 1 + limits.faster_on_another_gpu_pct / 100
    return _Faster(neighbour, ratio, official) if counts else None


def _memory_change(context: Context, neighbour: Neighbour) -> dict[str, float]:
    own, other = context.number("gpu_mem_allocated_bytes"), known(neighbour.row["gpu_mem_allocated_bytes"])
    return {} if own is None or other is None else {"gpu_mem_change_bytes": other - own}


def _numbers_of_steps(context: Context) -> tuple[int, int]:
    return int(context.case["steps"]), MODELS[context.case["model"]].steps


RULES = (
    Rule(
        "no_effect",
        "A setting costs something (time to compile, time to move weights, a changed video) and did not give what it "
        "is for, or made it worse. It is judged by cases of this report that ran on the very same GPU and differ from "
        "this one in that setting alone: the same model, task, size, frames, guidance, weights and software; the "
        "number of steps may differ. Compiling must make the median step faster by `no_effect_compile_pct`, another "
        "attention by `no_effect_attention_pct`; tiling, the VAE's data type and offloading must lower peak memory by "
        "`no_effect_memory_pct`, and a cache must serve at least once. Runs of equal settings differ by less. Leave "
        "the setting out.",
        _no_effect,
    ),
    Rule(
        "faster_elsewhere",
        "Another case of this report makes the same video faster, differs in one setting (and maybe in its steps, "
        "which it then says), and no finding above says so; the number of GPUs is no such setting. Of several values "
        "of a setting, one that is slower than another and needs no less memory is not named. Times are of one "
        "generation without initialisation and compilation, brought to this case's number of steps by s/step, and to "
        "the model's official number, at which it must not be slower. Warm generations are compared where both cases "
        "have one, or else the cold ones. Cases whose check was not passed are excluded, and caches with random "
        "weights. It speaks from `faster_elsewhere_pct` on, at one of these numbers, above what equal runs differ by; "
        "of a case on another GPU of the same kind from `faster_on_another_gpu_pct` on, at both. Look at the memory, "
        "and at the video where the setting is lossy.",
        _faster_elsewhere,
    ),
)

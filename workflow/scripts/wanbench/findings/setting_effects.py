"""Rules on one-factor pairs: what a setting or further GPUs brought, and what would be faster."""

from collections.abc import Iterator, Mapping
from typing import Any

from wanbench.findings.advice import alternatives, can_compile
from wanbench.findings.basis import NOTE, Context, Finding, rule
from wanbench.registry.settings import SETTINGS

_Pair = Mapping[str, Any]


def _speed_ratio(pair: _Pair) -> float | None:
    """How many times faster the other case is. A setting that acts on steps alone must make them faster, too."""
    ratios = [pair["generation_ratio"], *([pair["step_ratio"]] if SETTINGS[pair["key"]].acts_on == "steps" else [])]
    return min(ratios) if all(ratios) else None


def advisable(context: Context, key: str, value: str) -> bool:
    """Whether a setting may be advised for speed: not where the same GPU showed that it brings none."""
    least = 1 + context.thresholds.no_effect_step_pct / 100
    shown = [pair for pair in context.pairs if pair["same_gpu"] and (pair["key"], pair["other_value"]) == (key, value)]
    return all((_speed_ratio(pair) or least) >= least for pair in shown)


def should_compile(context: Context) -> bool:
    """Whether compiling is advice that the case could follow, and that was not seen to bring nothing."""
    return can_compile(context.case) and advisable(context, "compile", "repeated_blocks")


@rule(
    "How many times as fast a generation is as in a case on one GPU of the same name that differs in nothing else, "
    "scaled to the official steps, over the number of GPUs. Each GPU does text encoding, VAE decoding and export by "
    "itself, and what they exchange takes time."
)
def parallel_efficiency(context: Context) -> Iterator[Finding]:
    for pair in context.pairs:
        if (pair["key"], pair["other_value"]) != ("gpus", "1") or not pair["generation_ratio"]:
            continue
        gpus, ratio = int(context.case["gpus"]), 1 / pair["generation_ratio"]
        evidence = {"gpus": float(gpus), "speed_ratio": ratio, "efficiency_pct": 100 * ratio / gpus}
        if pair["step_ratio"]:
            evidence["step_speed_ratio"] = 1 / pair["step_ratio"]
        energy = ""
        if pair["energy_ratio"]:
            evidence["energy_change_pct"] = 100 * (pair["energy_ratio"] - 1)
            energy = f", energy {evidence['energy_change_pct']:+.0f} %"
        text = (
            f"{gpus} GPUs make a video of {context.official_steps} steps {ratio:.2f}x as fast as one (case "
            f"{pair['other']}): {evidence['efficiency_pct']:.0f} % parallel efficiency{energy}."
        )
        advice = "Where a video need not be ready sooner, as many cases on one GPU each make more videos in that time."
        yield Finding("parallel_efficiency", NOTE, evidence, text, advice)


@rule(
    "A setting has a price and did not give what it is for, by a case on the very same GPU that differs in it alone. "
    "Settings of the denoiser must make s/step faster by `no_effect_step_pct`, others save `no_effect_memory_pct` of "
    "peak memory; a cache must serve at least once."
)
def no_effect(context: Context) -> Iterator[Finding]:
    case, evidence = context.case, context.numbers("passes_reused", "passes")
    if case["cache"] != "none" and evidence.get("passes_reused") == 0 and evidence.get("passes"):
        text = (
            f"`cache: {case['cache']}` served in none of {evidence['passes']:.0f} passes at `cache_threshold: "
            f"{case['cache_threshold']:g}`."
        )
        random = " Real weights may differ from random ones." if case["weights"] == "random" else ""
        advice = f"Raise the threshold, or set `cache: none`.{random}"
        yield Finding("no_effect", NOTE, evidence, text, advice, alternatives("cache: none"))
    for pair in context.pairs:
        setting, gain = f"{pair['key']}: {pair['other_value']}", _missing_gain(context, pair)
        if gain is not None:
            what, gain_pct = gain
            text = f"`{pair['key']}: {pair['value']}` brings no {what}: {gain_pct:+.1f} % against case {pair['other']}."
            yield Finding("no_effect", NOTE, {"gain_pct": gain_pct}, text, f"Set `{setting}`.", alternatives(setting))


def _missing_gain(context: Context, pair: _Pair) -> tuple[str, float] | None:
    """What a setting is for, and what it brought of that in percent; None where it is enough, or not known."""
    to_default = pair["other_value"] == str(SETTINGS[pair["key"]].default).lower()
    if not to_default or pair["key"] == "gpus" or not pair["same_gpu"] or _is_faster(context, pair):
        return None
    limits, saved_pct, ratio = context.thresholds, pair["memory_saved_pct"], _speed_ratio(pair)
    if SETTINGS[pair["key"]].acts_on == "steps":
        gain_pct = 100 * (1 / pair["step_ratio"] - 1) if pair["step_ratio"] else None
        return None if gain_pct is None or gain_pct >= limits.no_effect_step_pct else ("speed", gain_pct)
    # What is for memory may have brought speed.
    is_faster = ratio is not None and 100 * (1 / ratio - 1) >= limits.alike_generation_pct
    return None if is_faster or saved_pct is None or saved_pct >= limits.no_effect_memory_pct else ("memory", saved_pct)


def _is_faster(context: Context, pair: _Pair) -> bool:
    limits, ratio = context.thresholds, _speed_ratio(pair)
    least_pct = limits.faster_setting_pct if pair["same_gpu"] else limits.faster_on_another_gpu_pct
    return ratio is not None and ratio >= 1 + least_pct / 100


@rule(
    "Another case that differs in one setting makes a video of the official steps faster, by s/step: by "
    "`faster_setting_pct` on the same GPU, and by `faster_on_another_gpu_pct` on another of the same name. Cases that "
    "failed a check are excluded, and caches with random weights."
)
def faster_setting(context: Context) -> Iterator[Finding]:
    # More GPUs are no setting that who has one could choose.
    faster = [pair for pair in context.pairs if pair["key"] != "gpus" and _is_faster(context, pair)]
    # Of each setting the fastest value; what is faster at a cost of the video hides nothing.
    best = {(pair["key"], pair["lossy"]): pair for pair in sorted(faster, key=lambda pair: pair["generation_ratio"])}
    for pair in best.values():
        setting, change_bytes = f"{pair['key']}: {pair['other_value']}", pair["memory_change_bytes"]
        memory = "" if change_bytes is None else f", with {change_bytes / 1e9:+.1f} GB of GPU memory"
        evidence = {"speed_ratio": pair["generation_ratio"]}
        evidence |= {} if change_bytes is None else {"gpu_mem_change_bytes": change_bytes}
        text = (
            f"`{setting}`{' (lossy)' if pair['lossy'] else ''} makes a video of {context.official_steps} steps "
            f"{pair['generation_ratio']:.2f}x as fast{memory} (case {pair['other']}"
            f"{'' if pair['same_gpu'] else ', on another GPU of this kind'})."
        )
        yield Finding("faster_setting", NOTE, evidence, text, advised=alternatives(setting))


RULES = (parallel_efficiency, no_effect, faster_setting)

"""Rules on one-factor pairs: what further GPUs brought, and what would be faster."""

from collections.abc import Iterator

from wanbench.analysis.tables import TableRow
from wanbench.cases.checks import NEEDS
from wanbench.findings.basis import NOTE, Context, Found
from wanbench.registry.settings import SETTINGS


def _speed_ratio(pair: TableRow) -> float | None:
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
    can = context.case["compile"] == "none" and context.case["offload"] in NEEDS["compile"]["offload"]
    return can and advisable(context, "compile", "repeated_blocks")


def parallel_efficiency(context: Context) -> Iterator[Found]:
    for pair in context.pairs:
        if (pair["key"], pair["other_value"]) != ("gpus", "1") or not pair["generation_ratio"]:
            continue
        gpus, ratio = int(context.case["gpus"]), 1 / pair["generation_ratio"]
        evidence = {"gpus": float(gpus), "speed_ratio": ratio, "efficiency_pct": 100 * ratio / gpus}
        if pair["step_ratio"]:
            evidence["step_speed_ratio"] = 1 / pair["step_ratio"]
        if pair["energy_ratio"]:
            evidence["energy_change_pct"] = 100 * (pair["energy_ratio"] - 1)
        yield Found(NOTE, evidence, said={"other": pair["other"]})


def no_effect(context: Context) -> Iterator[Found]:
    evidence = context.numbers("passes_reused", "passes")
    if context.case["cache"] != "none" and evidence.get("passes_reused") == 0 and evidence.get("passes"):
        yield Found(NOTE, evidence, [["cache: none"]])


def faster_setting(context: Context) -> Iterator[Found]:
    least_pct = {True: context.thresholds.faster_setting_pct, False: context.thresholds.faster_on_another_gpu_pct}
    # More GPUs are no setting that who has one could choose.
    pairs = [pair for pair in context.pairs if pair["key"] != "gpus"]
    faster = [pair for pair in pairs if (_speed_ratio(pair) or 0) >= 1 + least_pct[pair["same_gpu"]] / 100]
    # Of each setting the fastest value; what is faster at a cost of the video hides nothing.
    best = {(pair["key"], pair["lossy"]): pair for pair in sorted(faster, key=lambda pair: pair["generation_ratio"])}
    for pair in best.values():
        setting, change_bytes = f"{pair['key']}: {pair['other_value']}", pair["memory_change_bytes"]
        evidence = {"speed_ratio": pair["generation_ratio"]}
        evidence |= {} if change_bytes is None else {"gpu_mem_change_bytes": change_bytes}
        yield Found(NOTE, evidence, [[setting]], {**pair, "setting": setting})


RULES = (parallel_efficiency, no_effect, faster_setting)

"""Rules about where the time goes, outside the steps that are alike."""

from collections.abc import Iterator
from dataclasses import replace

from wanbench.estimate.memory import estimated_peak_bytes
from wanbench.findings.advice import alternatives, fits
from wanbench.findings.basis import Context, Found, rule, scaled, total_of
from wanbench.findings.setting_effects import advisable
from wanbench.registry import stages as stage_names

_STAGES = (stage_names.MODEL_INITIALIZATION, stage_names.COMPILATION, stage_names.VAE_DECODING)


@rule
def dominant_stage(context: Context) -> Iterator[Found]:
    whole_s, limit_pct = context.executed_s, context.thresholds.dominant_stage_pct
    for stage in _STAGES:
        parts = [part for part in context.stages if part["stage"] == stage]
        if whole_s is None or (stage == stage_names.MODEL_INITIALIZATION and context.made_at_random):
            continue
        # Weights that are transferred inside the stage are another rule's (transfer_bound).
        transfer_s = total_of(part[key] for part in parts for key in ("loading_s", "offloading_s"))
        time_s = total_of(part["time_s"] for part in parts) - transfer_s
        share_pct = 100 * time_s / whole_s
        if share_pct < limit_pct:
            continue
        severity, official = scaled(context, time_s, whole_s, limit_pct, generations=int(context.case["generations"]))
        settings, untiled_bytes = _decoding_settings(context) if stage == stage_names.VAE_DECODING else ([], None)
        # The stage table has the time of one generation.
        said = {"stage": stage, "generations": len({part["generation"] for part in parts})}
        said |= {"settings": settings, "untiled_bytes": untiled_bytes}
        evidence = {"time_s": time_s, "share_pct": share_pct} | official
        yield Found(severity, evidence, alternatives(*settings), said)


def _decoding_settings(context: Context) -> tuple[list[str], int | None]:
    """Settings that make decoding faster, and the GPU memory that it needs without tiles."""
    case, settings = context.case, []
    # Many CPUs emulate bfloat16, slower than float32.
    if case["vae_dtype"] == "float32" and not context.on_the_cpu and advisable(context, "vae_dtype", "bfloat16"):
        settings.append("vae_dtype: bfloat16")
    untiled_bytes = estimated_peak_bytes(replace(context.as_case, vae_tiling=False))
    if case["vae_tiling"] and fits(context, untiled_bytes) and advisable(context, "vae_tiling", "false"):
        settings.append("vae_tiling: false")
    return settings, untiled_bytes


RULES = (dominant_stage,)

"""Rules about where the time goes, outside the steps that are alike."""

from collections.abc import Iterator
from dataclasses import replace

from wanbench.analysis.case_rows import case_of
from wanbench.analysis.numbers import fixed, gigabytes
from wanbench.estimate.memory import estimated_peak_bytes
from wanbench.findings.advice import alternatives, fits, without_offload
from wanbench.findings.basis import NOTE, Context, Finding, rule, total_of
from wanbench.findings.official_steps import scaled
from wanbench.findings.setting_effects import advisable
from wanbench.findings.transfers import typical_transfer_s
from wanbench.registry import stages as stage_names

_ONCE = "It is paid once: generate more than one video per start."
_IN_OWN_CODE = "No setting here changes it: in your own code with diffusers,"
_ADVICE = {
    stage_names.MODEL_INITIALIZATION: _ONCE,
    stage_names.TEXT_ENCODING: f"{_IN_OWN_CODE} encode a prompt once and pass its embeddings when it is used again.",
    stage_names.COMPILATION: _ONCE,
    stage_names.VAE_DECODING: "More steps or longer videos make its share smaller, not its time.",
    stage_names.VIDEO_EXPORT: f"{_IN_OWN_CODE} export in another process while the next video is made.",
}


@rule(
    "A stage outside denoising takes `dominant_stage_pct` or more of Total_Execution, without the weights that are "
    "transferred in it and without the making of random weights. Where the share scaled to the official steps is below "
    "that, it is a note."
)
def dominant_stage(context: Context) -> Iterator[Finding]:
    base, limit_pct = context.executed, context.thresholds.dominant_stage_pct
    for stage, advice in _ADVICE.items():
        parts = [part for part in context.stages if part["stage"] == stage]
        if base is None or (stage == stage_names.MODEL_INITIALIZATION and context.made_at_random):
            continue
        # Weights that are transferred inside the stage are another rule's (transfer_bound).
        transfer_s = total_of(part[key] for part in parts for key in ("loading_s", "offloading_s"))
        if stage == stage_names.VIDEO_EXPORT:
            transfer_s += len(parts) * (context.number("offload_all_s") or 0.0)
        time_s = total_of(part["time_s"] for part in parts) - transfer_s
        share_pct = 100 * time_s / base[0]
        if share_pct < limit_pct:
            continue
        official = scaled(context, time_s, base[0], limit_pct, generations=int(context.case["generations"]))
        # The stage table has the time of one.
        count = len({part["generation"] for part in parts})
        summed = f" in {count} generations" if count > 1 else ""
        text = f"{stage} takes {fixed(time_s)} s{summed}, {share_pct:.0f} % of {base[1]}{official.words}."
        evidence = {"time_s": time_s, "share_pct": share_pct} | official.evidence
        settings = _decoding_settings(context) if stage == stage_names.VAE_DECODING else {}
        advice = " ".join(settings.values()) or advice
        yield Finding("dominant_stage", official.severity, evidence, text, advice, alternatives(*settings))


def _decoding_settings(context: Context) -> dict[str, str]:
    """Settings that make decoding faster, with what they do in words."""
    case, settings = context.case, {}
    # Many CPUs emulate bfloat16, slower than float32.
    if case["vae_dtype"] == "float32" and not context.on_the_cpu and advisable(context, "vae_dtype", "bfloat16"):
        settings["vae_dtype: bfloat16"] = "`vae_dtype: bfloat16` halves the bytes it reads and writes (lossy)."
    untiled_bytes = estimated_peak_bytes(replace(case_of(case), vae_tiling=False))
    if case["vae_tiling"] and fits(context, untiled_bytes) and advisable(context, "vae_tiling", "false"):
        settings["vae_tiling: false"] = f"`vae_tiling: false` is faster and needs about {gigabytes(untiled_bytes)} GB."
    return settings


@rule(
    "A14B denoises with two experts, one after the other. The step in which the second begins takes "
    "`expert_switch_pct` of a generation more than a typical one. Where that is less when scaled to the official "
    "steps, or not the weights, it is a note. On the CPU, or with a cache, the rule is silent."
)
def expert_switch(context: Context) -> Iterator[Finding]:
    keys = ("switch_step_s", "step_s", "generation_excl_compilation_s")
    switch_s, step_s, generation_s = (context.number(key) for key in keys)
    # On the CPU what a single step took longer is chance, and a cache makes steps unlike by design.
    if context.on_the_cpu or context.case["cache"] != "none" or None in (switch_s, step_s) or not generation_s:
        return
    extra_s, limit_pct = switch_s - step_s, context.thresholds.expert_switch_pct
    share_pct = 100 * extra_s / generation_s
    if share_pct < limit_pct:
        return
    official = scaled(context, extra_s, generation_s, limit_pct)
    loading = [context.row(stage_names.step_loading(step)) for step in context.switch_steps]
    loading_s = total_of(row.time_s for row in loading if row is not None)
    text = (
        f"The step in which the low-noise expert takes over takes {fixed(extra_s)} s more than a typical one, "
        f"{share_pct:.0f} % of a generation of {context.case['steps']} steps{official.words}; {fixed(loading_s)} s of "
        "it are weight transfers."
    )
    evidence = {"switch_step_s": switch_s, "step_s": step_s, "extra_s": extra_s, "loading_s": loading_s}
    # Only what is transferred for the switch alone would be gone without offload.
    transfer_s = min(extra_s, loading_s - typical_transfer_s(context))
    severity, advice, advised = NOTE, "The rest is not the weights: kernels are loaded and chosen.", ()
    if 100 * transfer_s >= limit_pct * generation_s:
        severity, advice = scaled(context, transfer_s, generation_s, limit_pct).severity, ""
        if context.case["offload"] != "none":
            resident, advised = without_offload(context)
            advice = f"Without offload both experts would stay on the GPU: {resident}."
    evidence |= {"share_pct": share_pct} | official.evidence
    yield Finding("expert_switch", severity, evidence, text, advice, advised)


RULES = (dominant_stage, expert_switch)

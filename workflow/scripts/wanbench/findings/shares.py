"""Rules about where the time goes, outside the steps that are alike."""

import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace

from wanbench.analysis.numbers import fixed, gigabytes
from wanbench.estimate.memory import estimated_peak_bytes
from wanbench.findings.advice import LOWER_PRECISION, alternatives, case_of, fits
from wanbench.findings.basis import (
    NOTE,
    Context,
    Finding,
    Rule,
    computed_in_full,
    executed,
    on_the_cpu,
    switch_steps,
    total_of,
)
from wanbench.findings.gains import advisable
from wanbench.findings.official_steps import Share, for_high_share, typical_moving_s
from wanbench.findings.savings import without_offload
from wanbench.registry import stages as stage_names

# Less is not worth a word.
_MOVING_SHOWS_S = 0.1


def _dominant_stage(context: Context) -> Iterator[Finding]:
    base = executed(context)
    if base is None:
        return
    base_s, of_what = base
    for stage, advise in _ADVICE.items():
        if stage == stage_names.MODEL_INITIALIZATION and context.case["weights"] == "random":
            continue
        parts = [part for part in context.stages if part["stage"] == stage]
        # Weights that move inside the stage are another rule's (transfer_bound).
        moving_s = total_of(part[key] for part in parts for key in ("loading_s", "offloading_s"))
        if stage == stage_names.VIDEO_EXPORT:
            moving_s += len(parts) * (context.number("offload_all_s") or 0.0)
        time_s = total_of(part["time_s"] for part in parts) - moving_s
        share_pct = 100 * time_s / base_s
        if share_pct < context.thresholds.dominant_stage_pct:
            continue
        advice, advised = advise(context)
        share = Share(time_s, base_s, int(context.case["generations"]))
        official = for_high_share(context, share, context.thresholds.dominant_stage_pct)
        evidence = {"time_s": time_s, "share_pct": share_pct} | official.evidence
        in_full = official.in_brackets(f"{context.case['steps']} steps")
        # The stage table has the time of one.
        count = len({part["generation"] for part in parts})
        summed = f" in {count} generations" if count > 1 else ""
        alone = f" (without {fixed(moving_s)} s that weights move in it)" if moving_s >= _MOVING_SHOWS_S else ""
        text = f"{stage} takes {fixed(time_s)} s{summed}{alone}, {share_pct:.0f} % of {of_what}{in_full}."
        yield Finding("dominant_stage", official.severity, evidence, text, advice, advised)


Advised = tuple[tuple[str, ...], ...]


def _decoding_advice(context: Context) -> tuple[str, Advised]:
    case, advice = context.case, {}
    # Many CPUs emulate bfloat16, slower than float32, and no case on a CPU is a neighbour that could show otherwise.
    if case["vae_dtype"] == "float32" and not on_the_cpu(context) and advisable(context, "vae_dtype: bfloat16"):
        advice["vae_dtype: bfloat16"] = (
            f"`vae_dtype: bfloat16` halves the bytes it reads and writes ({LOWER_PRECISION})."
        )
    untiled = replace(case_of(case), vae_tiling=False)
    untiled_bytes = estimated_peak_bytes(untiled)
    if case["vae_tiling"] and fits(context, untiled_bytes) and advisable(context, "vae_tiling: false"):
        advice["vae_tiling: false"] = (
            f"`vae_tiling: true` saves memory and costs time: `vae_tiling: false` needs about "
            f"{gigabytes(untiled_bytes)} GB, which this GPU has."
        )
    text = " ".join(advice.values()) or "More steps or longer videos make its share smaller, not its time."
    return text, alternatives(*advice)


def _plain(text: str) -> Callable[[Context], tuple[str, Advised]]:
    return lambda context: (text, ())


_WARM_UP = "Generate more than one video per start, and compare warm generations (`warmup: 1`)."
_IN_OWN_CODE = "No setting here changes it: in your own code with diffusers"
_ADVICE: dict[str, Callable[[Context], tuple[str, Advised]]] = {
    stage_names.MODEL_INITIALIZATION: _plain("Generate more than one video per start: it is paid once."),
    stage_names.TEXT_ENCODING: _plain(
        f"{_IN_OWN_CODE}, encode a prompt once and pass its embeddings when it is used again."
    ),
    stage_names.COMPILATION: _plain("It is paid once for each process: generate more than one video per start."),
    stage_names.VAE_DECODING: _decoding_advice,
    stage_names.VIDEO_EXPORT: _plain(
        f"It runs on the CPU. {_IN_OWN_CODE}, export in another process while the next video is made."
    ),
}


def _expert_switch(context: Context) -> Iterator[Finding]:
    switch_s, step_s = context.number("switch_step_s"), _full_step_s(context)
    generation_s = context.number("generation_excl_compilation_s")
    # Both experts are in the one memory of the CPU: what a single step took longer there is chance.
    if on_the_cpu(context) or switch_s is None or step_s is None or not generation_s:
        return
    extra_s, limit_pct = switch_s - step_s, context.thresholds.expert_switch_pct
    if 100 * extra_s < limit_pct * generation_s:
        return
    official = for_high_share(context, Share(extra_s, generation_s, 1), limit_pct)
    loading = [context.row(stage_names.step_loading(step)) for step in switch_steps(context.stages)]
    loading_s, typical_s = total_of(row.time_s for row in loading if row is not None), typical_moving_s(context)
    typical = f", and {fixed(typical_s)} s of a typical one" if typical_s else ""
    text = (
        f"The step in which the low-noise expert takes over takes {fixed(switch_s)} s, {fixed(extra_s)} s more than "
        f"a typical one{_in_full(context)} ({100 * extra_s / generation_s:.0f} % of a generation of "
        f"{context.case['steps']} steps{official.and_words}); {fixed(loading_s)} s of the step move weights{typical}."
    )
    evidence = {"switch_step_s": switch_s, "step_s": step_s, "extra_s": extra_s, "loading_s": loading_s}
    evidence |= {"typical_loading_s": typical_s, "share_pct": 100 * extra_s / generation_s} | official.evidence
    # Only what moves for the switch alone would be gone without offload.
    moved_s = min(extra_s, loading_s - typical_s)
    if 100 * moved_s < limit_pct * generation_s:
        yield Finding("expert_switch", NOTE, evidence, text, _not_the_weights(context))
        return
    advice, advised = "", ()
    if context.case["offload"] != "none":
        resident = without_offload(context)
        advice, advised = f"Without offload both experts would stay on the GPU: {resident.words}.", resident.advised
    severity = for_high_share(context, Share(moved_s, generation_s, 1), limit_pct).severity
    yield Finding("expert_switch", severity, evidence, text, advice, advised)


def _full_step_s(context: Context) -> float | None:
    """s/step, or with a cache that of the steps which it left as they are; None where there is none."""
    if context.case["cache"] == "none":
        return context.number("step_s")
    loading_s = {
        (stage["generation"], stage["step"]): stage["time_s"]
        for stage in context.stages
        if stage["step"] is not None and stage["stage"] == stage_names.step_loading(stage["step"])
    }
    full_s = [
        stage["time_s"] + loading_s.get((stage["generation"], stage["step"]), 0.0)
        for stage in computed_in_full(context)
    ]
    return statistics.median(full_s) if full_s else None


def _in_full(context: Context) -> str:
    return "" if context.case["cache"] == "none" else " that the cache did not shorten"


def _not_the_weights(context: Context) -> str:
    if context.number("generation_s") is not None:
        return "The rest is not the weights."
    return f"The rest is not the weights: kernels are loaded and chosen when an expert first runs. {_WARM_UP}"


def _slow_first_step(context: Context) -> Iterator[Finding]:
    first_name = stage_names.step_inference(0)
    first = [stage for stage in context.stages if stage["stage"] == first_name and not stage["interrupted"]]
    typical, generation_s = computed_in_full(context), context.number("first_generation_s")
    # On the CPU it would be what else the machine did.
    if on_the_cpu(context) or not first or not typical or not generation_s:
        return
    first_s = min(first, key=lambda stage: stage["generation"])["time_s"]
    typical_s = statistics.median(stage["time_s"] for stage in typical)
    extra_s = first_s - typical_s
    if 100 * extra_s < context.thresholds.slow_first_step_pct * generation_s:
        return
    text = (
        f"Inference of the first step of the first (cold) generation takes {fixed(first_s)} s, {fixed(extra_s)} s more "
        f"than of a typical one{_in_full(context)}, beside compilation and loading: as a rule, kernels are loaded and "
        "chosen then."
    )
    has_warm = context.number("generation_s") is not None
    advice = "" if has_warm else _WARM_UP
    evidence = {"first_s": first_s, "typical_s": float(typical_s), "extra_s": float(extra_s)}
    yield Finding("slow_first_step", NOTE, evidence, text, advice)


def _slow_placement(context: Context) -> Iterator[Finding]:
    placement_s, generation_s = context.number("placement_s"), context.number("first_generation_s")
    if placement_s is None or not generation_s:
        return
    share = Share(placement_s, placement_s + generation_s, 1)
    share_pct = 100 * share.part_s / share.whole_s
    if share_pct < context.thresholds.dominant_stage_pct:
        return
    official = for_high_share(context, share, context.thresholds.dominant_stage_pct)
    offload, steps = context.case["offload"], context.case["steps"]
    text = (
        f"Placing the weights as `offload: {offload}` wants them (Placement, in {stage_names.MODEL_INITIALIZATION}) takes "
        f"{fixed(placement_s)} s, {share_pct:.0f} % of that and the first generation of {steps} steps together"
        f"{official.in_brackets()}."
    )
    pinned = "All are copied into page-locked memory, which is what lets later copies overlap computing. "
    advice = f"{pinned if offload == 'group_stream' else ''}It is paid once: generate more than one video per start."
    evidence = {"placement_s": placement_s, "share_pct": share_pct} | official.evidence
    yield Finding("slow_placement", official.severity, evidence, text, advice)


RULES = (
    Rule(
        "dominant_stage",
        "A stage outside denoising takes more than `dominant_stage_pct` of Total_Execution: its time over all "
        "generations, without the weights that moved in it. With random weights, which are made and not loaded, "
        "initialisation neither counts nor is part of the whole. Above a third, a faster denoiser gains less than work "
        "on that stage. With fewer steps than the model's official number the share is greater than in full use; what "
        "it would be there is computed from s/step, and where that is below the threshold, the finding is a "
        "note; so it is where nobody knows that, with a cache at random weights.",
        _dominant_stage,
    ),
    Rule(
        "slow_placement",
        "Before the first generation the weights are put where the way of offloading wants them: on the GPU, or in "
        "page-locked memory of the host. The time is the detail Placement of Model_Initialization, and means the same "
        "with random weights. It counts from `dominant_stage_pct` of itself and the first generation together on; "
        "where it would be below that at the model's official number of steps, by s/step, the finding is a "
        "note. Every process pays it once, however many videos it makes.",
        _slow_placement,
    ),
    Rule(
        "expert_switch",
        "A14B denoises with two experts, one after the other. The cost is the step in which the second begins, less "
        "the median of the typical steps (with a cache, of those that it did not shorten); its loading is what the "
        "stage Step_i_Loading shows. It counts from "
        "`expert_switch_pct` of a generation on. It is paid once in each generation, so with few steps it weighs more: "
        "where it would be below that at the model's official number of steps, by s/step, the finding is a "
        "note. Keeping both experts on the GPU saves what weights move beyond those of a typical step: where that is "
        "less than `expert_switch_pct`, the finding is a note as well, and no advice on offload. On the CPU nothing "
        "moves, and the rule is silent.",
        _expert_switch,
    ),
    Rule(
        "slow_first_step",
        "The first step of a process is slower than the others, beside compilation and loading, which are stages of "
        "their own: libraries load and choose kernels, and the allocator grows. It is the first generation's "
        "Step_0_Inference less the median of the typical steps (with a cache, of those that it did not shorten), and "
        "counts from `slow_first_step_pct` of that generation on. s/step leaves it out. Later generations of the "
        "process do not pay it, so that the line First Step is less where those are what counts. On the CPU the rule "
        "is silent.",
        _slow_first_step,
    ),
)

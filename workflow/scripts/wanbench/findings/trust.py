"""Rules about trust: why a case fails a check, and what was excluded from its figures."""

from collections.abc import Iterator

from wanbench.analysis.numbers import fixed, gigabytes
from wanbench.findings.basis import WARNING, Context, Finding, rule
from wanbench.models.facts import LONGEST_PROMPT_TOKENS
from wanbench.trace.verdict import SLOWED_DOWN


@rule(
    "NVML saw another process on the GPU while the case ran. Even a small one takes its turns, so the figures are not "
    "used in comparisons."
)
def other_process(context: Context) -> Iterator[Finding]:
    if "other_process" in context.failed_checks:
        evidence = context.numbers("other_processes", "other_processes_mem_bytes")
        text = (
            f"{evidence['other_processes']:.0f} other process(es) used this GPU, with up to "
            f"{gigabytes(evidence.get('other_processes_mem_bytes'))} GB: the figures are not this case's alone."
        )
        yield Finding("other_process", WARNING, evidence, text, "Free the GPU and run the case again.")


@rule(
    "The driver held the clocks down for heat, the board or the power supply in more than `slowed_down_pct` of the "
    "samples. Step times then describe the cooling."
)
def slowed_down(context: Context) -> Iterator[Finding]:
    if "slowed_down" in context.failed_checks:
        shares = context.numbers(*(f"{reason}_pct" for reason in SLOWED_DOWN))
        evidence = {key: share for key, share in shares.items() if share}
        reasons = ", ".join(f"{key.removesuffix('_pct')} in {share:.1f} %" for key, share in evidence.items())
        text = f"The GPU was held below its own speed: {reasons} of the samples."
        advice = "Look at its cooling and power supply, and run the case again."
        yield Finding("slowed_down", WARNING, evidence, text, advice)


@rule(
    "Some generations fail a check by themselves. They are excluded as long as a measured run is clean. Time(s), "
    "Exec(s), Load, Energy(kJ), Power(W) and peaks hold all."
)
def generations_excluded(context: Context) -> Iterator[Finding]:
    reasons = {stage["generation"]: stage["excluded"] for stage in context.stages if stage["excluded"]}
    if reasons:
        measured = {stage["generation"] for stage in context.stages if stage["measured"]} - {None}
        named = ", ".join(f"{number} ({why.replace('_', ' ')})" for number, why in sorted(reasons.items()))
        text = (
            f"{len(reasons)} contaminated generation(s) are excluded, by number from 0: {named}. Figures of a "
            f"generation or a step are of the {len(measured)} clean measured runs."
        )
        evidence = {"generations_excluded": float(len(reasons)), "measured_runs": float(len(measured))}
        yield Finding("generations_excluded", WARNING, evidence, text, f"{context.look_for_the_cause}.")


@rule(
    "Steps took one time up to a step and another from there on, with `step_change_steps` or more on each side. The "
    "change is above `step_change_pct`, `step_change_s` and `step_change_deviations` times the noise."
)
def step_time_changed(context: Context) -> Iterator[Finding]:
    evidence = context.numbers("step_change_at", "step_change_before_s", "step_change_after_s")
    if evidence:
        step, before_s, after_s = evidence.values()
        text = (
            f"Step time changed from {fixed(before_s)} s to {fixed(after_s)} s at step {step:.0f}, so s/step describes "
            "neither."
        )
        advice = f"{context.look_for_the_cause}, and run the case again."
        yield Finding("step_time_changed", WARNING, evidence, text, advice)


@rule("The decoded video held infinities or values that are no numbers. It is checked once after each case.")
def output_not_finite(context: Context) -> Iterator[Finding]:
    if "output_not_finite" in context.failed_checks:
        text = "The video holds values that are not numbers: these settings do not work, however fast they are."
        advice = "Choose another `dtype`, `vae_dtype` or `attention`."
        yield Finding("output_not_finite", WARNING, {}, text, advice)


@rule("Named stages cover less than `min_stage_coverage_pct` of Total_Execution: something takes time and has no name.")
def unaccounted_time(context: Context) -> Iterator[Finding]:
    if "unaccounted_time" in context.failed_checks:
        evidence = context.numbers("stage_coverage_pct", "unaccounted_s")
        text = (
            f"{100 - evidence['stage_coverage_pct']:.1f} % of Total_Execution ({fixed(evidence['unaccounted_s'])} s) "
            "belongs to no stage."
        )
        advice = "Open the trace in Perfetto and look at what CPU and disk do between the stages."
        yield Finding("unaccounted_time", WARNING, evidence, text, advice)


@rule(
    "Samples cover less than `min_sample_coverage_pct` of Total_Execution, or a gap is above `max_sample_gap_s`. Times "
    "are not affected; sampled columns are."
)
def sampling_gaps(context: Context) -> Iterator[Finding]:
    if "sampling_gaps" in context.failed_checks:
        evidence = context.numbers("sample_coverage_pct", "greatest_sample_gap_s")
        covered_pct, gap_s = evidence.values()
        text = (
            f"Samples cover {covered_pct:.1f} % of the time (greatest gap {gap_s:.2f} s), so sampled columns may miss "
            "what happened."
        )
        yield Finding("sampling_gaps", WARNING, evidence, text, "Leave the sampler a share of one CPU core.")


@rule("The pipeline takes 512 tokens of a prompt. With random weights each letter is one.")
def prompt_cut(context: Context) -> Iterator[Finding]:
    for key, what in (("prompt_tokens_cut", "prompt"), ("negative_prompt_tokens_cut", "negative prompt")):
        cut = context.number(key)
        if cut:
            text = f"The {what} was cut at {LONGEST_PROMPT_TOKENS} tokens: the last {cut:.0f} had no effect."
            yield Finding("prompt_cut", WARNING, {key: cut}, text, "Shorten it.")


RULES = (
    prompt_cut,
    other_process,
    slowed_down,
    generations_excluded,
    step_time_changed,
    output_not_finite,
    unaccounted_time,
    sampling_gaps,
)

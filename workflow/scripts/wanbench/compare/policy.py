"""When a change is more than chance: the rules of the comparison, as data."""

from dataclasses import dataclass

from wanbench.registry import stages as stage_names

# What a row of the comparison is of.
MEASURE, STAGE = "measure", "stage"
# Of all denoising steps of a case three rows are made, each of the values of a figure.
STEP_STAGES = {"First_Step": "first_step_s", "Typical_Step": "step_s", "Switch_Step": "switch_step_s"}
FIRST_STEP, TYPICAL_STEP, SWITCH_STEP = STEP_STAGES


@dataclass(frozen=True)
class MetricPolicy:
    """How much a measure must change for a verdict: more than both bounds, and more than the spread.

    Attributes:
        measure: key of the measure, in most cases its column of the cases table.
        label: the measure as the comparison prints it.
        unit: of the measure and of `absolute`: "s", "bytes", "J", or "pct_s" (percent-seconds).
        share: of the baseline's value.
        reason: why these bounds, or why there is no verdict.
        other_gpu_share: in place of `share` where the two cases ran on two GPUs of one name; None where there is no
            verdict then.
        other_gpu_reason: why that share, or why there is no verdict. "Between two H200s" is what equal settings took on
            two GPUs of results/reference/h200.
        judged: whether it has verdicts, or is only shown. Of every judged measure less is better.
    """

    measure: str
    label: str
    unit: str
    share: float
    absolute: float
    reason: str
    other_gpu_share: float | None
    other_gpu_reason: str
    judged: bool = True


def _shown(measure: str, label: str, unit: str, reason: str) -> MetricPolicy:
    return MetricPolicy(measure, label, unit, 0.0, 0.0, reason, None, "has no verdict on one GPU either", False)


# On the CPU one time must be more than so many times the other, in place of the share: equal tiny cases were up to
# 1.5 times apart on a virtual machine whose host others use too, which no figure of the machine tells.
ON_CPU_TIMES = 2

_ONE_VALUE = "one value, with compilation and cold file caches"
_OWN_COUNTER = "every GPU has a counter and voltages of its own; too few were compared for a bound"
_T5 = "first calls of equal runs on one H200 were 0.15 s apart; with offload bound by copies"
_H200S = "between two H200s"
# fmt: off
POLICIES = {policy.measure: policy for policy in (
    MetricPolicy("step_s", "s/step", "s", 0.03, 0.005, "on one GPU, medians of steps repeat to about 1 %",
                 0.05, f"{_H200S} 1.3 and 1.9 % apart"),
    MetricPolicy("first_step_s", "First step", "s", 0.10, 0.1, "holds the first launches of kernels",
                 None, f"{_H200S} 9 and 21 % apart"),
    MetricPolicy("text_encoding_s", "T5 encoding", "s", 0.10, 0.25, _T5, None, f"{_H200S} 15 and 45 % apart"),
    MetricPolicy("vae_decoding_s", "VAE decoding", "s", 0.05, 0.05, "once a generation, so there are few values",
                 None, f"{_H200S} 0.3 and 13 % apart"),
    MetricPolicy("first_generation_s", "Cold generation", "s", 0.10, 0.5, _ONE_VALUE,
                 None, f"{_H200S} 3 and 12 % apart"),
    MetricPolicy("generation_s", "Warm generation", "s", 0.05, 0.1, "few values, with the video's export",
                 None, "holds decoding and T5 encoding, which differ from GPU to GPU"),
    MetricPolicy("model_initialization_s", "Model initialisation", "s", 0.20, 1.0,
                 "depends on what the page cache holds", None,
                 "another GPU may be another machine's, with other disks and caches"),
    MetricPolicy("gpu_mem_allocated_bytes", "Peak GPU memory", "bytes", 0.01, 50e6,
                 "torch allocates alike in like runs", 0.01, f"{_H200S} the same to the byte"),
    MetricPolicy("process_mem_bytes", "Process memory", "bytes", 0.10, 200e6, "equal runs on one H200 were 6 % apart",
                 None, "the host's, and another GPU may be another machine's"),
    MetricPolicy("step_energy_j", "Energy per step", "J", 0.05, 20.0, "the GPU's counter moves every 0.1 s",
                 None, _OWN_COUNTER),
    MetricPolicy("generation_energy_j", "Energy per generation", "J", 0.05, 50.0,
                 "depends on the GPU's temperature as well", None, _OWN_COUNTER),
    _shown("total_duration_s", "Total duration", "s", "holds start-up, imports and the making of random weights"),
    _shown("total_comp_load_pct_s", "Compute load", "pct_s", "more load is neither better nor worse"),
)}
# fmt: on
# Of the process as a whole, or of one kind of generation whichever are measured: the same where one side has only its
# first, cold generation and the other has warm ones. Memory on the host is not: later generations need a third more.
OF_ANY_GENERATION = (
    "first_generation_s",
    "model_initialization_s",
    "gpu_mem_allocated_bytes",
    stage_names.PROCESS_STARTUP,
    stage_names.MODEL_INITIALIZATION,
)
# How long these take, or what energy, the GPU decides, as long as no weight transfers are in them.
BY_THE_GPU = ("step_s", "vae_decoding_s", "step_energy_j", TYPICAL_STEP, stage_names.VAE_DECODING)

OTHER_STAGE = MetricPolicy(
    "stage_s", "Other stages", "s", 0.10, 0.1, "short stages vary more than long ones", None, "and so from GPU to GPU"
)
SHOWN_STAGE = _shown("shown_stage_s", "Other times", "s", "not a part of one generation, or making random weights")
_STAGE_POLICIES = {
    stage_names.PREPROCESS: OTHER_STAGE,
    stage_names.TEXT_ENCODING: POLICIES["text_encoding_s"],
    stage_names.COMPILATION: OTHER_STAGE,
    FIRST_STEP: POLICIES["first_step_s"],
    TYPICAL_STEP: POLICIES["step_s"],
    SWITCH_STEP: OTHER_STAGE,
    stage_names.VAE_DECODING: POLICIES["vae_decoding_s"],
    stage_names.VIDEO_EXPORT: OTHER_STAGE,
}


def policy_of(key: str, loaded: bool) -> MetricPolicy:
    """The rule for a measure, or for the time of a stage.

    Args:
        loaded: the weights were loaded from a checkpoint on both sides, so that initialisation means something.
    """
    if key == stage_names.MODEL_INITIALIZATION and loaded:
        return POLICIES["model_initialization_s"]
    return POLICIES.get(key) or _STAGE_POLICIES.get(key, SHOWN_STAGE)

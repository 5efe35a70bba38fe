"""When a change between two runs is more than chance: one row a measure that the comparison shows."""

from dataclasses import KW_ONLY, dataclass

# What a row of the comparison is of.
MEASURE, STAGE = "measure", "stage"
# Of all denoising steps of a case three rows are made, each of the values of a figure.
STEP_STAGES = {"First_Step": "first_step_s", "Typical_Step": "step_s", "Switch_Step": "switch_step_s"}
# On the CPU one time must be more than so many times the other, in place of the share: equal tiny cases were up to
# 1.5 times apart on a virtual machine whose host others use too, which no figure of the machine tells.
ON_CPU_TIMES = 2


@dataclass(frozen=True)
class MetricPolicy:
    """How much a measure must change for a verdict: more than both bounds, and more than the spread.

    Attributes:
        measure: its column of the cases table; the last two rows are of stages that no other row names.
        label: the measure as the comparison prints it.
        unit: of the measure and of `absolute`: "s", "bytes", "J", or "pct_s" (percent-seconds).
        share: of the baseline's value.
        other_gpu_share: in place of `share` where the two cases ran on two GPUs of one name; None where there is no
            verdict then.
        judged: whether it has verdicts, or is only shown. Of every judged measure less is better.
        whole_process: the same whether a side has warm generations or only its first, cold one. Memory on the host is
            not: later generations need a third more.
        by_the_gpu: what the GPU decides, as long as no weight transfers are in it.
        stages: names of stages whose time it is the rule for.
        reason, other_gpu_reason: why these bounds, or why there is no verdict. "Between two H200s" is what equal
            settings took on two GPUs of results/reference/h200.
    """

    measure: str
    label: str
    unit: str
    share: float = 0.0
    absolute: float = 0.0
    other_gpu_share: float | None = None
    _: KW_ONLY
    judged: bool = True
    whole_process: bool = False
    by_the_gpu: bool = False
    stages: tuple[str, ...] = ()
    reason: str
    other_gpu_reason: str = ""


# fmt: off
_ROWS = (
    MetricPolicy("step_s", "s/step", "s", 0.03, 0.005, 0.05, by_the_gpu=True, stages=("Typical_Step",), reason="on one GPU, medians of steps repeat to about 1 %", other_gpu_reason="between two H200s 1.3 and 1.9 % apart"),
    MetricPolicy("first_step_s", "First step", "s", 0.1, 0.1, stages=("First_Step",), reason="holds the first launches of kernels", other_gpu_reason="between two H200s 9 and 21 % apart"),
    MetricPolicy("text_encoding_s", "T5 encoding", "s", 0.1, 0.25, stages=("T5_Encoding",), reason="first calls of equal runs on one H200 were 0.15 s apart; with offload bound by copies", other_gpu_reason="between two H200s 15 and 45 % apart"),
    MetricPolicy("vae_decoding_s", "VAE decoding", "s", 0.05, 0.05, by_the_gpu=True, stages=("VAE_Decoding",), reason="once a generation, so there are few values", other_gpu_reason="between two H200s 0.3 and 13 % apart"),
    MetricPolicy("first_generation_s", "Cold generation", "s", 0.1, 0.5, whole_process=True, reason="one value, with compilation and cold file caches", other_gpu_reason="between two H200s 3 and 12 % apart"),
    MetricPolicy("generation_s", "Warm generation", "s", 0.05, 0.1, reason="few values, with the video's export", other_gpu_reason="holds decoding and T5 encoding, which differ from GPU to GPU"),
    MetricPolicy("model_initialization_s", "Model initialisation", "s", 0.2, 1, whole_process=True, stages=("Model_Initialization",), reason="depends on what the page cache holds", other_gpu_reason="another GPU may be another machine's, with other disks and caches"),
    MetricPolicy("gpu_mem_allocated_bytes", "Peak GPU memory", "bytes", 0.01, 50e6, 0.01, whole_process=True, reason="torch allocates alike in like runs", other_gpu_reason="between two H200s the same to the byte"),
    MetricPolicy("process_mem_bytes", "Process memory", "bytes", 0.1, 200e6, reason="equal runs on one H200 were 6 % apart", other_gpu_reason="the host's, and another GPU may be another machine's"),
    MetricPolicy("step_energy_j", "Energy per step", "J", 0.05, 20, by_the_gpu=True, reason="the GPU's counter moves every 0.1 s", other_gpu_reason="every GPU has a counter and voltages of its own; too few were compared for a bound"),
    MetricPolicy("generation_energy_j", "Energy per generation", "J", 0.05, 50, reason="depends on the GPU's temperature as well", other_gpu_reason="every GPU has a counter and voltages of its own; too few were compared for a bound"),
    MetricPolicy("total_duration_s", "Total duration", "s", judged=False, reason="holds start-up, imports and the making of random weights"),
    MetricPolicy("total_comp_load_pct_s", "Compute load", "pct_s", judged=False, reason="more load is neither better nor worse"),
    MetricPolicy("stage_s", "Other stages", "s", 0.1, 0.1, stages=("TI2V_Preprocess", "Compilation", "Switch_Step", "Video_Export"), reason="short stages vary more than long ones", other_gpu_reason="and so from GPU to GPU"),
    MetricPolicy("shown_stage_s", "Other times", "s", judged=False, reason="not a part of one generation, or making random weights"),
)
# fmt: on
POLICIES = {policy.measure: policy for policy in _ROWS}
# Those of measures; the others are of stages alone.
MEASURES = [key for key in POLICIES if key not in ("stage_s", "shown_stage_s")]
_OF_STAGES = {stage: policy for policy in _ROWS for stage in policy.stages}


def policy_of(key: str, loaded: bool) -> MetricPolicy:
    """The rule for a measure, or for the time of a stage.

    Args:
        loaded: the weights were loaded from a checkpoint on both sides, so that initialisation means something.
    """
    if key == "Model_Initialization" and not loaded:
        return POLICIES["shown_stage_s"]
    return POLICIES.get(key) or _OF_STAGES.get(key) or POLICIES["shown_stage_s"]

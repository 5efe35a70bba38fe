"""Names of statuses and stages, and the stages' order in a report. Both wings use them; neither spells them itself."""

import re

SCHEMA_VERSION = 2

OK, OOM, TIMEOUT, KILLED, ERROR = "ok", "oom", "timeout", "killed", "error"
# Out of memory is an answer: the case does not fit this machine, and trying again would not change that.
FINISHED = (OK, OOM)

PROCESS_STARTUP = "Process_Startup"
MODEL_INITIALIZATION = "Model_Initialization"
PREPROCESS = "TI2V_Preprocess"
TEXT_ENCODING = "T5_Encoding"
COMPILATION = "Compilation"
VAE_DECODING = "VAE_Decoding"
VIDEO_EXPORT = "Video_Export"
TOTAL_EXECUTION = "Total_Execution"

_BEFORE_STEPS = (PROCESS_STARTUP, MODEL_INITIALIZATION, PREPROCESS, TEXT_ENCODING, COMPILATION)
_AFTER_STEPS = (VAE_DECODING, VIDEO_EXPORT, TOTAL_EXECUTION)
_STEP = re.compile(r"Step_(\d+)_(Loading|Inference)")
_STEP_PARTS = ("Loading", "Inference")

# Total_Execution holds the others, and Process_Startup ends before it begins.
NOT_LEAVES = (PROCESS_STARTUP, TOTAL_EXECUTION)


def step_loading(index: int) -> str:
    return f"Step_{index}_Loading"


def is_step_loading(stage: str) -> bool:
    match = _STEP.fullmatch(stage)
    return match is not None and match[2] == "Loading"


def step_inference(index: int) -> str:
    return f"Step_{index}_Inference"


def step_index(name: str) -> int | None:
    """Number of the denoising step, from 0, that a stage belongs to; None for other stages."""
    match = _STEP.fullmatch(name)
    return int(match[1]) if match else None


def is_stage(name: str) -> bool:
    return name in _BEFORE_STEPS or name in _AFTER_STEPS or _STEP.fullmatch(name) is not None


def stage_order(name: str) -> tuple[int, int, int]:
    """Sort key: the order of the reference report."""
    if name in _BEFORE_STEPS:
        return (0, _BEFORE_STEPS.index(name), 0)
    match = _STEP.fullmatch(name)
    if match:
        return (1, int(match[1]), _STEP_PARTS.index(match[2]))
    return (2, _AFTER_STEPS.index(name), 0)

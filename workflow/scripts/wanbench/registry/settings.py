"""The settings of a case: one row each. Schemas, the table of config/README.md and columns are made from these rows.

`allowed` is a JSON schema; its `description` says the same in words for messages. `default` is the value of a case that
does not say otherwise, MODEL where the model's official settings decide (`wanbench.models.facts`). `role` is what the
setting decides:

    workload     which video is made: cases that differ here are not compared as two ways to the same video
    method       how it is made: what settings are compared by
    repetition   how often it is made
    derived      not written in a grid file, but found out from what is
    limit        nothing about a run that comes to its end

`video` says what another value does to the video: exact (bit for bit), rounding (the same operations in another order or
kernel), lossy (another arithmetic) or other (another video). Values in `lossy` are lossy whatever `video` says.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MODEL = "the model's"

WORKLOAD, METHOD, REPETITION, DERIVED, LIMIT = "workload", "method", "repetition", "derived", "limit"
EXACT, ROUNDING, LOSSY, OTHER = "exact", "rounding", "lossy", "other"


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        type: text, whole, real, truth or numbers, as its column in the cases table has it.
        only_with: the key and the values of another setting beside which it has an effect; None for always.
        acts_on: stages of a generation whose time or memory it changes: placement, steps, decoding, all or nothing.
    """

    key: str
    type: str
    allowed: Mapping[str, Any]
    default: Any
    role: str
    video: str = OTHER
    lossy: tuple[Any, ...] = ()
    acts_on: str = "all"
    only_with: tuple[str, tuple[Any, ...]] | None = None
    meaning: str = ""

    def is_lossy(self, value: Any) -> bool:
        return value in self.lossy


_DTYPES = {"enum": ["bfloat16", "float16", "float32"]}
_TRUTH = {"enum": [True, False]}
_TEXT = {"description": "text", "type": "string"}
_ATTENTION = {
    "enum": [
        *(
            "native",
            "_native_cudnn",
            "_native_efficient",
            "_native_flash",
            "_native_math",
            "flex",
            "flash",
            "flash_hub",
        ),
        *("_flash_3", "_flash_3_hub", "flash_4_hub", "sage", "sage_hub", "xformers"),
    ]
}

# One row a setting, in the order in which they are printed.
# fmt: off
ROWS = (
    Setting("model", "text", {"enum": ["TI2V-5B", "T2V-A14B", "I2V-A14B"]}, None, WORKLOAD, meaning="the Wan2.2 model"),
    Setting("task", "text", {"enum": ["t2v", "i2v"]}, MODEL, WORKLOAD, meaning="t2v, text to video, or i2v, image to video; TI2V-5B does both"),
    Setting("weights", "text", {"enum": ["random", "pretrained"]}, "random", WORKLOAD, meaning="random values built where they run, or a checkpoint"),
    Setting("scale", "text", {"enum": ["full", "tiny"]}, "full", WORKLOAD, only_with=("weights", ("random",)), meaning="size of a random model; a checkpoint brings its own"),
    Setting("checkpoint", "text", {"description": "a folder in the diffusers layout, or a hub id", "type": "string", "minLength": 1}, MODEL, WORKLOAD, only_with=("weights", ("pretrained",)), meaning="a folder in the diffusers layout, or a hub id"),
    Setting("revision", "text", {"description": "a commit of the hub repository, 40 hexadecimal digits", "type": "string", "pattern": "^[0-9a-f]{40}(?!\\n)$"}, MODEL, WORKLOAD, only_with=("weights", ("pretrained",)), meaning="commit of the hub id"),
    Setting("checkpoint_sha256", "text", {}, None, DERIVED, meaning="digest of a local checkpoint folder"),
    Setting("size", "text", {"description": "width*height in pixels, such as 1280*704", "type": "string", "pattern": "^[1-9][0-9]{0,4}\\*[1-9][0-9]{0,4}(?!\\n)$"}, MODEL, WORKLOAD, meaning="width*height of the video in pixels"),
    Setting("unofficial_size", "truth", _TRUTH, False, LIMIT, meaning="allow any size that the architecture can take; the report marks it"),
    Setting("frames", "whole", {"description": "an integer 4k+1 from 1 to 1000001", "type": "integer", "minimum": 1, "maximum": 1000001}, MODEL, WORKLOAD, meaning="length of the video in frames"),
    Setting("steps", "whole", {"description": "an integer from 1 to 1000", "type": "integer", "minimum": 1, "maximum": 1000}, MODEL, WORKLOAD, acts_on="steps", meaning="denoising steps of a generation"),
    Setting("guidance", "numbers", {"description": "a number of 0 or more, or two of them for the A14B experts [high noise, low noise]", "oneOf": [{"type": "number", "minimum": 0}, {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 2, "maxItems": 2}]}, MODEL, WORKLOAD, acts_on="steps", meaning="classifier-free guidance scale; 1 or less turns guidance off"),
    Setting("shift", "real", {"description": "a number above 0", "type": "number", "exclusiveMinimum": 0}, MODEL, WORKLOAD, acts_on="nothing", meaning="timestep shift of the schedule"),
    Setting("seed", "whole", {"description": "an integer from 0 to 2**63 - 1", "type": "integer", "minimum": 0, "maximum": 9223372036854775807}, 42, WORKLOAD, acts_on="nothing", meaning="seed of the random numbers"),
    Setting("prompt", "text", _TEXT, MODEL, WORKLOAD, acts_on="nothing", meaning="what the video is to show"),
    Setting("negative_prompt", "text", _TEXT, MODEL, WORKLOAD, acts_on="nothing", meaning="what it is not to show"),
    Setting("image", "text", {"description": "path of a PNG, JPEG or WebP file", "type": "string", "minLength": 1}, None, WORKLOAD, acts_on="nothing", only_with=("task", ("i2v",)), meaning="path of the first frame, for i2v; scaled to the size"),
    Setting("image_sha256", "text", {}, None, DERIVED, meaning="digest of the image"),
    Setting("offload", "text", {"enum": ["none", "model", "sequential", "group", "group_stream"]}, "none", METHOD, EXACT, acts_on="placement", meaning="where weights wait while they are not used: none, or one of diffusers' ways"),
    Setting("dtype", "text", _DTYPES, "bfloat16", METHOD, LOSSY, ("float16",), acts_on="steps", meaning="data type of the denoiser and the text encoder"),
    Setting("vae_dtype", "text", _DTYPES, "float32", METHOD, LOSSY, ("bfloat16", "float16"), acts_on="decoding", meaning="data type of the VAE"),
    Setting("vae_tiling", "truth", _TRUTH, False, METHOD, LOSSY, (True,), acts_on="decoding", meaning="decode in tiles that overlap"),
    Setting("attention", "text", _ATTENTION, "native", METHOD, ROUNDING, ("sage", "sage_hub"), acts_on="steps", meaning="a diffusers attention backend"),
    Setting("compile", "text", {"enum": ["none", "repeated_blocks"]}, "none", METHOD, ROUNDING, acts_on="steps", meaning="what torch.compile compiles"),
    Setting("cache", "text", {"enum": ["none", "first_block"]}, "none", METHOD, LOSSY, ("first_block",), acts_on="steps", meaning="reuse of blocks' outputs between steps"),
    Setting("cache_threshold", "real", {"description": "a number above 0", "type": "number", "exclusiveMinimum": 0}, 0.05, METHOD, LOSSY, acts_on="steps", only_with=("cache", ("first_block",)), meaning="change of the first block's output below which a cache serves, as a share of it"),
    Setting("gpus", "whole", {"description": "an integer of 1 or more", "type": "integer", "minimum": 1}, 1, METHOD, ROUNDING, acts_on="steps", meaning="GPUs of one host that denoise together"),
    Setting("warmup", "whole", {"description": "an integer of 0 or more", "type": "integer", "minimum": 0}, 0, REPETITION, acts_on="nothing", meaning="generations before those that are measured"),
    Setting("repeats", "whole", {"description": "an integer of 1 or more", "type": "integer", "minimum": 1}, 1, REPETITION, acts_on="nothing", meaning="generations that are measured"),
    Setting("timeout_s", "real", {"description": "a number above 0 (seconds)", "type": "number", "exclusiveMinimum": 0}, 14400, LIMIT, acts_on="nothing", meaning="the case is ended after this many seconds"),
)
# fmt: on

SETTINGS = {row.key: row for row in ROWS}


def keys(*roles: str) -> tuple[str, ...]:
    """Keys of the settings of these roles, in the order of the rows."""
    return tuple(row.key for row in ROWS if row.role in roles)


def is_lossy(values: Mapping[str, Any]) -> bool:
    """Whether a case's settings, by key, change the arithmetic of its video."""
    return any(row.is_lossy(values[row.key]) for row in ROWS if row.lossy)

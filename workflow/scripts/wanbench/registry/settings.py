"""The settings of a case: one row each.

From these rows come the fields of `Case`, defaults and schemas, the table of config/README.md and columns. `python
tools/generate.py` writes what of it is a file.

`allowed` is a JSON schema; its `description` says the same in words for messages. `default` is the value of a case that
names none, MODEL where the model's official settings decide (`wanbench.models.facts`). `role` is what the setting decides:

    workload     which video is made: cases that differ here are not compared as two ways to the same video
    method       how it is made: what settings are compared by
    repetition   how often it is made
    derived      not written in a grid file, but found out from what is
    place        where a file lies, which decides nothing: its digest, which is derived, does
    limit        nothing about a run that comes to its end

`video` says what another value does to the video: exact (bit for bit), rounding (the same operations in another order or
kernel), lossy (another arithmetic) or other (another video). Values in `lossy` are lossy whatever `video` says.

`neutral` is the value that every case had before there was the setting. It never changes, whatever becomes of the default:
a case's identity has only what differs from it, so that a new setting measures nothing again.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

MODEL = "the model's"
# Of a setting that stands in the identity of each case where it has an effect.
ALWAYS = object()

WORKLOAD, METHOD, REPETITION, DERIVED, LIMIT = "workload", "method", "repetition", "derived", "limit"
PLACE = "place"
EXACT, ROUNDING, LOSSY, OTHER = "exact", "rounding", "lossy", "other"


@dataclass(frozen=True)
class Setting:
    """One setting.

    Attributes:
        type: text, whole, real, truth or numbers, as its column in the cases table has it.
        only_with: keys and values of earlier settings beside which it has an effect; empty for always. Where it has
            none, its value is None.
        known: how it is known that it was in force.
        acts_on: stages of a generation whose time or memory it changes: placement, steps, decoding, all or nothing.
        packages: what a value needs beside torch and diffusers, by value: names as pip lists them.
    """

    key: str
    type: str
    allowed: Mapping[str, Any]
    default: Any
    role: str
    video: str = OTHER
    lossy: tuple[Any, ...] = ()
    acts_on: str = "all"
    only_with: tuple[tuple[str, tuple[Any, ...]], ...] = ()
    neutral: Any = ALWAYS
    known: str = "as asked"
    meaning: str = ""
    packages: Mapping[Any, str] = field(default_factory=dict)

    def is_lossy(self, value: Any) -> bool:
        return value in self.lossy

    @property
    def nullable(self) -> bool:
        """Whether there are cases in which it is None."""
        return bool(self.only_with) or self.neutral is None

    def has_effect(self, values: Mapping[str, Any]) -> bool:
        """Whether it decides anything beside other settings, by key."""
        return all(values[key] in beside for key, beside in self.only_with)

    def neutral_beside(self, values: Mapping[str, Any]) -> Any:
        return self.neutral if self.has_effect(values) else None


_DTYPES = {"enum": ["bfloat16", "float16", "float32"]}
_TRUTH = {"enum": [True, False]}
_TEXT = {"description": "text", "type": "string"}
_LORA = {
    "description": "path of a .safetensors file, or OWNER/NAME/FILE.safetensors@COMMIT of the hub",
    "type": "string",
    "pattern": "\\.safetensors(@[0-9a-f]{40})?(?!\\n)$",
}
_PACKAGES_OF_ATTENTION = {
    "flash": "flash-attn",
    "_flash_3": "flash-attn-3",
    "sage": "sageattention",
    "xformers": "xformers",
} | dict.fromkeys(("flash_hub", "_flash_3_hub", "flash_4_hub", "sage_hub"), "kernels")
_ATTENTION = (
    "native _native_cudnn _native_efficient _native_flash _native_math flex flash flash_hub _flash_3 _flash_3_hub "
    "flash_4_hub sage sage_hub xformers"
)

# One row a setting, in the order in which they are printed.
# fmt: off
ROWS = (
    Setting("model", "text", {"enum": ["TI2V-5B", "T2V-A14B", "I2V-A14B"]}, None, WORKLOAD, known="random weights are built by it; of a checkpoint, as asked", meaning="the Wan2.2 model"),
    Setting("task", "text", {"enum": ["t2v", "i2v"]}, MODEL, WORKLOAD, known="class of the pipeline that ran", meaning="t2v, text to video, or i2v, image to video; TI2V-5B does both"),
    Setting("weights", "text", {"enum": ["random", "pretrained"]}, "random", WORKLOAD, neutral="random", known="what the pipeline was made from", meaning="random values built where they run, or a checkpoint"),
    Setting("scale", "text", {"enum": ["full", "tiny"]}, "full", WORKLOAD, only_with=(("weights", ("random",)),), neutral="full", known="the architecture that was built", meaning="size of a random model; a checkpoint brings its own"),
    Setting("checkpoint", "text", {"description": "a folder in the diffusers layout, or a hub id", "type": "string", "minLength": 1}, MODEL, WORKLOAD, only_with=(("weights", ("pretrained",)),), known="what was loaded", meaning="weights to load: safetensors, and no code"),
    Setting("revision", "text", {"description": "a commit of the hub repository, 40 hexadecimal digits", "type": "string", "pattern": "^[0-9a-f]{40}(?!\\n)$"}, MODEL, WORKLOAD, only_with=(("weights", ("pretrained",)),), known="as asked of the hub", meaning="commit of a hub id; a folder has none"),
    Setting("checkpoint_sha256", "text", _TEXT, None, DERIVED, neutral=None, known="found out beforehand", meaning="digest of a local checkpoint folder"),
    Setting("lora", "text", _LORA, None, PLACE, acts_on="steps", neutral=None, known="its layers in the denoiser, and its digest", meaning="a LoRA of the denoiser, as a file or of the hub; of A14B, of its high-noise expert"),
    Setting("lora_low_noise", "text", _LORA, None, PLACE, acts_on="steps", only_with=(("model", ("T2V-A14B", "I2V-A14B")),), neutral=None, known="its layers in the denoiser, and its digest", meaning="the same of A14B's low-noise expert"),
    Setting("lora_weight", "real", {"description": "a number", "type": "number"}, 1.0, WORKLOAD, acts_on="nothing", neutral=1.0, known="scale of the LoRA's layers", meaning="weight of the LoRAs"),
    Setting("lora_sha256", "text", _TEXT, None, DERIVED, neutral=None, known="found out beforehand", meaning="digest of `lora`: of the file, or of a hub file's name and commit"),
    Setting("lora_low_noise_sha256", "text", _TEXT, None, DERIVED, neutral=None, known="found out beforehand", meaning="digest of `lora_low_noise`"),
    Setting("size", "text", {"description": "width*height in pixels, such as 1280*704", "type": "string", "pattern": "^[1-9][0-9]{0,4}\\*[1-9][0-9]{0,4}(?!\\n)$"}, MODEL, WORKLOAD, known="shape of the frames that came out", meaning="width and height of the video: an official size, or see `unofficial_size`"),
    Setting("unofficial_size", "truth", _TRUTH, False, LIMIT, neutral=False, known="decides nothing of a run", meaning="allow any multiple of 32 (5B) or 16 (A14B) pixels; the report marks it"),
    Setting("frames", "whole", {"description": "an integer 4k+1 from 1 to 1000001", "type": "integer", "minimum": 1, "maximum": 1000001}, MODEL, WORKLOAD, known="number of frames that came out", meaning="length of the video"),
    Setting("steps", "whole", {"description": "an integer from 1 to 1000", "type": "integer", "minimum": 1, "maximum": 1000}, MODEL, WORKLOAD, acts_on="steps", known="timesteps of the pipeline's last call", meaning="denoising steps of a generation"),
    Setting("guidance", "numbers", {"description": "a number of 0 or more, or two of them for the A14B experts [high noise, low noise]", "oneOf": [{"type": "number", "minimum": 0}, {"type": "array", "items": {"type": "number", "minimum": 0}, "minItems": 2, "maxItems": 2}]}, MODEL, WORKLOAD, acts_on="steps", known="scales of the pipeline's last call, and whether it ran the pass without the prompt", meaning="classifier-free guidance scale; 1 or less turns guidance off"),
    Setting("shift", "real", {"description": "a number above 0", "type": "number", "exclusiveMinimum": 0}, MODEL, WORKLOAD, acts_on="nothing", known="configuration of the scheduler that ran", meaning="timestep shift of the schedule"),
    Setting("seed", "whole", {"description": "an integer from 0 to 2**63 - 1", "type": "integer", "minimum": 0, "maximum": 9223372036854775807}, 42, WORKLOAD, acts_on="nothing", neutral=42, known="as asked", meaning="seed of the random numbers"),
    Setting("prompt", "text", _TEXT, MODEL, WORKLOAD, acts_on="nothing", known="as asked; `prompt_tokens_cut` says what of it had no effect", meaning="what the video is to show"),
    Setting("negative_prompt", "text", _TEXT, MODEL, WORKLOAD, acts_on="nothing", known="as asked; without effect where guidance is off", meaning="what it is not to show"),
    Setting("image", "text", {"description": "path of a PNG, JPEG or WebP file", "type": "string", "minLength": 1}, None, PLACE, acts_on="nothing", only_with=(("task", ("i2v",)),), neutral=None, known="as asked", meaning="first frame, for i2v; scaled to the size"),
    Setting("image_sha256", "text", _TEXT, None, DERIVED, neutral=None, known="found out beforehand", meaning="digest of the image"),
    Setting("offload", "text", {"enum": ["none", "model", "sequential", "group", "group_stream"]}, "none", METHOD, EXACT, acts_on="placement", neutral="none", known="hooks on the pipeline's modules", meaning="where weights wait while they are not used, in diffusers' ways; the groups are single layers, and `group_stream` copies on a stream of its own, which needs a GPU"),
    Setting("dtype", "text", _DTYPES, "bfloat16", METHOD, LOSSY, ("float16",), acts_on="steps", neutral="bfloat16", known="type of most of the denoiser's weights", meaning="data type of the denoiser and the text encoder"),
    Setting("vae_dtype", "text", _DTYPES, "float32", METHOD, LOSSY, ("bfloat16", "float16"), acts_on="decoding", neutral="float32", known="type of most of the VAE's weights", meaning="data type of the VAE"),
    Setting("vae_tiling", "truth", _TRUTH, False, METHOD, LOSSY, (True,), acts_on="decoding", neutral=False, known="the VAE's own switch", meaning="decode in tiles that overlap"),
    Setting("attention", "text", {"enum": _ATTENTION.split()}, "native", METHOD, ROUNDING, ("sage", "sage_hub"), acts_on="steps", neutral="native", known="backend of the denoiser's processors; `attention_kernel` is what torch or xformers chose", packages=_PACKAGES_OF_ATTENTION, meaning="diffusers' attention backend; flash, _flash_3 (built from source), sage and xformers need a package of their own, the `_hub` ones the package kernels and a download"),
    Setting("compile", "text", {"enum": ["none", "repeated_blocks"]}, "none", METHOD, ROUNDING, acts_on="steps", neutral="none", known="compiled calls of the blocks, and `compiled_frames` above 0", meaning="what torch.compile compiles; with offload none or model"),
    Setting("cache", "text", {"enum": ["none", "first_block"]}, "none", METHOD, LOSSY, ("first_block",), acts_on="steps", neutral="none", known="hooks on the blocks; `passes_reused` says how often it served", meaning="reuse of the blocks' last outputs where the first block's changed little"),
    Setting("cache_threshold", "real", {"description": "a number above 0", "type": "number", "exclusiveMinimum": 0}, 0.05, METHOD, LOSSY, acts_on="steps", only_with=(("cache", ("first_block",)),), neutral=0.05, known="the hooks' own threshold", meaning="change of the first block's output, as a share of it, below which the cache serves"),
    Setting("timesteps", "text", {"enum": ["per_token", "uniform"]}, "per_token", METHOD, ROUNDING, acts_on="steps", only_with=(("model", ("TI2V-5B",)), ("task", ("t2v",))), neutral="per_token", known="the pipeline's own switch", meaning="whether TI2V-5B embeds the timestep for each token, as stock diffusers does, or once: in text-to-video all tokens have the same"),
    Setting("vae_memory_format", "text", {"enum": ["contiguous", "channels_last"]}, "contiguous", METHOD, ROUNDING, acts_on="decoding", neutral="contiguous", known="strides of the convolutions' weights", meaning="layout of the VAE's convolution weights; channels_last with offload none or model"),
    Setting("matmul_tf32", "truth", _TRUTH, False, METHOD, LOSSY, (True,), acts_on="steps", neutral=False, known="torch's own switch", meaning="TF32 for matrix products of float32, such as those of the timestep embedding; on a GPU"),
    Setting("quantization", "text", {"enum": ["none", "fp8_rowwise", "int8_rowwise"]}, "none", METHOD, LOSSY, ("fp8_rowwise", "int8_rowwise"), acts_on="steps", neutral="none", known="class of the weights of all linear layers of the blocks", packages=dict.fromkeys(("fp8_rowwise", "int8_rowwise"), "torchao"), meaning="8-bit products of the linear layers in the denoiser's blocks: weights are quantized once, activations in each pass; needs torchao, and FP8 a GPU that has it, and dtype bfloat16"),
    Setting("layerwise_casting", "text", {"enum": ["none", "float8_e4m3fn"]}, "none", METHOD, LOSSY, ("float8_e4m3fn",), acts_on="steps", neutral="none", known="hooks on the denoiser's layers", meaning="data type in which the denoiser's weights wait; each layer is cast to `dtype` when it runs"),
    Setting("gpus", "whole", {"description": "an integer of 1 or more", "type": "integer", "minimum": 1}, 1, METHOD, ROUNDING, acts_on="steps", neutral=1, known="the denoiser's parallel configuration", meaning="GPUs of one host that denoise together (Ulysses); attention heads (24: 5B, 40: A14B, 8 at tiny scale) and tokens must be divisible by it; with offload none or model, no cache, and attention native, _native_cudnn, _native_flash, flash, flash_hub, _flash_3_hub, sage or sage_hub"),
    Setting("gpu_memory_gb", "real", {"description": "a number above 0 (1e9 bytes)", "type": "number", "exclusiveMinimum": 0}, None, METHOD, EXACT, acts_on="placement", neutral=None, known="share of the GPU's memory that torch's allocator may take", meaning="memory that each GPU is taken to have: 24 runs the case as on a card of 24 GB (those of 24 GiB, such as an RTX 4090, have 25.8), or out of memory. Of it 1.8 GB stay for CUDA (4.5 with several GPUs), and torch has the rest"),
    Setting("warmup", "whole", {"description": "an integer of 0 or more", "type": "integer", "minimum": 0}, 0, REPETITION, acts_on="nothing", neutral=0, known="generations in the trace", meaning="generations before those that are measured"),
    Setting("repeats", "whole", {"description": "an integer of 1 or more", "type": "integer", "minimum": 1}, 1, REPETITION, acts_on="nothing", neutral=1, known="generations in the trace", meaning="generations that are measured; beside others, the first of the process stands apart"),
    Setting("timeout_s", "real", {"description": "a number above 0 (seconds)", "type": "number", "exclusiveMinimum": 0}, 14400, LIMIT, acts_on="nothing", neutral=14400, known="decides nothing of a run that comes to its end", meaning="the case is ended after this many seconds"),
)
# fmt: on

SETTINGS = {row.key: row for row in ROWS}


def keys(*roles: str) -> tuple[str, ...]:
    """Keys of the settings of these roles, in the order of the rows."""
    return tuple(row.key for row in ROWS if row.role in roles)


def fidelity(values: Mapping[str, Any]) -> str:
    """What a case's settings, by key, do to its video beside the neutral ones: exact, rounding or lossy."""
    rows = changed(values)
    if any(row.is_lossy(values[row.key]) for row in rows):
        return LOSSY
    return ROUNDING if any(row.video in (ROUNDING, LOSSY) for row in rows) else EXACT


def changed(values: Mapping[str, Any]) -> list[Setting]:
    """The settings of how a case's video is made, of all its settings by key, that are not neutral."""
    return [SETTINGS[key] for key in keys(METHOD) if values[key] not in (None, SETTINGS[key].neutral)]


def difference(values: Mapping[str, Any], others: Mapping[str, Any]) -> str:
    """What the settings in which two ways to make a video differ may do to it: exact, rounding or lossy."""
    rows = [SETTINGS[key] for key in keys(METHOD) if values[key] != others[key]]
    if any(row.video == LOSSY or row.is_lossy(values[row.key]) or row.is_lossy(others[row.key]) for row in rows):
        return LOSSY
    return ROUNDING if any(row.video == ROUNDING for row in rows) else EXACT


def printed(values: Mapping[str, Any]) -> str:
    """What to write into a grid file for the ways in which a case's video is made; `stock` where nothing is needed."""
    rows = [SETTINGS[key] for key in ("weights", *keys(METHOD)) if key in values]
    named = [(row.key, values[row.key]) for row in rows if values[row.key] not in (None, row.neutral)]
    texts = [f"{key}: {_as_yaml(value)}" for key, value in named]
    return ", ".join(texts) or "stock"


def _as_yaml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    # 24.0 of a table of numbers is the 24 that its grid file had.
    return f"{value:g}" if isinstance(value, float) else str(value)


def identity(values: Mapping[str, Any]) -> dict[str, Any]:
    """What of all settings of a case, by key, tells it from others: those that are not neutral, and no places."""
    rows = [row for _, row in sorted(SETTINGS.items()) if row.role != PLACE]
    return {row.key: values[row.key] for row in rows if values[row.key] != row.neutral_beside(values)}


def completed(values: Mapping[str, Any]) -> dict[str, Any]:
    """Settings, by key, with all others: one that is absent is neutral, as in an identity and in a trace of before it.

    Raises:
        KeyError: one that each case must have is absent.
    """
    whole = dict(values)
    for row in ROWS:
        if row.key not in whole:
            whole[row.key] = row.neutral_beside(whole)
            if whole[row.key] is ALWAYS:
                raise KeyError(row.key)
    return whole

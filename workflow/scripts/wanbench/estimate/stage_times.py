"""How long the stages of a case are likely to take on a GPU, from its datasheet.

A step is the sum of

    attention    operations over the rate that products sustain, times the share of it that the kernel reaches
    products     operations over the rate that products sustain
    elementwise  bytes that everything else reads and writes, over the memory bandwidth: some number of tensors of
                 tokens x width in each layer, which depends on how the software joins kernels
    float32      products of a timestep for each token, over the float32 rate

The rate that products sustain is the datasheet's times `rate_share` x (1e12 operations a second for each watt) to the
power of -`rate_power`, at most 0.95 of it: the more a GPU computes for each watt, the more its power limit slows it
down. FlashAttention 2 is also held by the instructions that it uses, where a GPU has faster ones. Decoding is its
convolutions over the rate of their type (TF32 where the VAE is in float32: cuDNN's default), and their bytes over the
bandwidth.

The numbers are in prediction.yaml, fitted by tools/fit_prediction.py on kept cases and published figures.
docs/prediction.md holds them against figures of GPUs that they were not fitted on.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from wanbench.cases.case import Case
from wanbench.estimate.duration import architecture
from wanbench.estimate.gpu_facts import CUDNN, FLASH_2, GpuFacts
from wanbench.models.facts import MODELS, latent_frames, passes_per_step, tokens
from wanbench.models.flops import StageFlops, pass_flops, stage_flops

_HIGHEST_SHARE = 0.95
EAGER, COMPILED, OFFICIAL = "eager", "compiled", "official"
# `newest`: FlashAttention 3 and later, written for the instructions of Hopper or Blackwell.
NEWEST, EFFICIENT = "newest", "efficient"
# Of attention backends that name one: `native` leaves it to torch.
KERNEL_OF = {
    **dict.fromkeys(("xformers", "_flash_3", "_flash_3_hub", "flash_4_hub"), NEWEST),
    **dict.fromkeys(("_native_flash", "flash", "flash_hub"), FLASH_2),
    **{"_native_cudnn": CUDNN, "_native_efficient": EFFICIENT},
}


@dataclass(frozen=True)
class Way:
    """How a video is made.

    Attributes:
        software: eager, compiled (or with joined kernels) or official (Wan's own code).
        attention: kernel.
        per_token: each token has a timestep of its own.
    """

    software: str = EAGER
    attention: str = FLASH_2
    per_token: bool = False
    vae_dtype: str = "float32"


@dataclass(frozen=True)
class Work:
    """What a generation computes.

    Attributes:
        attention, products, float32: operations of a step.
        tensor_bytes: of one tensor of tokens x width, times layers and passes of a step.
        stages: operations of the stages.
        small_vae: the VAE is that of A14B.
    """

    attention: float
    products: float
    float32: float
    tensor_bytes: float
    stages: StageFlops
    small_vae: bool


def way_of(case: Case, gpu: GpuFacts) -> Way:
    """How a case is made on a GPU.

    A kernel that the GPU does not have is taken for the one that torch picks there.
    """
    kernel = KERNEL_OF.get(case.attention, gpu.native_attention)
    if kernel in (NEWEST, CUDNN) and gpu.native_attention != CUDNN:
        kernel = gpu.native_attention
    per_token = case.model == "TI2V-5B" and case.timesteps != "uniform"
    return Way(EAGER if case.compile == "none" else COMPILED, kernel, per_token, case.vae_dtype)


def work_of(case: Case, per_token: bool) -> Work:
    model = architecture(case.model)
    flops, config = stage_flops(model, replace(case, cache="none")), model.transformer.config
    passes, width = passes_per_step(case.guidance), config.num_attention_heads * config.attention_head_dim
    count, frames = tokens(MODELS[case.model], case.frames, case.width_px, case.height_px), latent_frames(case.frames)
    patch = config.patch_size[0] * config.patch_size[1] * config.patch_size[2]
    one = pass_flops(config, frames, count * patch // frames, per_token)
    return Work(
        passes * one.attention,
        passes * (one.all - one.attention - one.matmul_float32),
        passes * one.matmul_float32,
        passes * config.num_layers * count * width * 2,
        flops,
        case.model != "TI2V-5B",
    )


def stage_times_s(work: Work, way: Way, gpu: GpuFacts, numbers: Mapping[str, float]) -> dict[str, float]:
    """Seconds without the transfer of weights: of a step and its parts, of decoding, and of encoding prompts and image.

    Args:
        numbers: the fitted ones of prediction.yaml.
    """
    share = numbers["rate_share"] * (gpu.bf16 / gpu.power) ** -numbers["rate_power"]
    products = 1e12 * gpu.bf16 * min(share, _HIGHEST_SHARE)
    attention = products * numbers[way.attention]
    if way.attention == FLASH_2:
        attention = min(attention, 1e12 * gpu.bf16 * gpu.older_instructions * numbers["flash_2_older"])
    tensors = numbers[way.software] + (numbers["per_token"] if way.per_token and way.software == EAGER else 0)
    parts = {
        "attention": work.attention / attention,
        "matmul": work.products / products,
        "matmul_float32": work.float32 / (1e12 * gpu.fp32) if way.software != OFFICIAL else 0.0,
        "elementwise": tensors * work.tensor_bytes / (1e9 * gpu.bandwidth),
    }
    convolutions = 1e12 * (gpu.tf32 if way.vae_dtype == "float32" else gpu.bf16) * numbers["convolution"]
    # Of the one kept case in bfloat16 the bytes are those of float32: its copies take as long.
    vae_bytes = numbers["vae_bytes_a14b" if work.small_vae else "vae_bytes_5b"]
    decoding, encoding = (
        operations / convolutions + operations * vae_bytes / (1e9 * gpu.bandwidth)
        for operations in (work.stages.vae_decoding, work.stages.vae_encoding or 0)
    )
    return parts | {
        "step": sum(parts.values()),
        "decoding": decoding,
        "encoding": work.stages.text_encoding / products + encoding,
    }

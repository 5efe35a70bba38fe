"""How much memory a case will need: an estimate from its settings alone, before anything runs.

On the GPU, what torch allocates (the report's GPU Mem): the weights that are there together and the working memory of
what computes then, at the highest of text encoding, denoising, VAE encoding and VAE decoding. Working memory is fitted
to peaks measured on an H200 (torch 2.11, diffusers 0.42.1). Of all cases kept with the project (H100, H200) the
estimate meets the peak within 3 %, and that of denoising alone within 6 %:

    denoising      tokens x width of the denoiser x bytes that live tensors hold of each, in units of its data type;
                   what a cache keeps stays for VAE decoding
    VAE decoding   pixels of a frame x bytes that live tensors hold of each, and the decoded video; convolutions run
                   over chunks of four frames, so the length of the video hardly counts
    VAE encoding   the same, with less of each

Of several GPUs it is the need of each, as seen on two and on four: all weights are on every one, and so is the work of
the VAE. What NCCL holds, some 2 GB there, is outside of torch's allocator.

On the host: what the interpreter, CUDA and the decoded video need, and the weights that wait there (with offloading)
or pass through (from a checkpoint), for each process of a case on several GPUs; and what compiling needs, once. It is
1.04 to 3.9 times what the kept cases took that ran to their end: on a cluster, too little ends a case.
"""

from dataclasses import dataclass

from wanbench.cases.case import Case
from wanbench.models.facts import MODELS, passes_per_step, tokens

_BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


@dataclass(frozen=True)
class _Sizes:
    """What memory depends on, of one model.

    Attributes:
        denoiser: parameters of one expert, of which `denoiser_float32` stay in float32.
        width: of the denoiser, in channels.
        vae: parameters.
        live: tensors of tokens x width that denoising holds at its peak, eager and compiled.
    """

    denoiser: int
    denoiser_float32: int
    width: int
    vae: int
    live: tuple[float, float]


_TEXT_ENCODER = 5_680_910_336
# Of these, the second matrices of its 24 feed-forward layers, which stay in float32 where the rest is float16.
_TEXT_ENCODER_FLOAT32 = 24 * 10_240 * 4_096
# UMT5's embedding, the largest single layer of all models.
_LARGEST_LAYER = 256_384 * 4_096
_A14B = {"width": 5120, "vae": 126_892_531, "live": (11.7, 6.6)}
_SIZES = {
    # Every token of TI2V-5B has a timestep of its own, whose modulation is held for all of them.
    "TI2V-5B": _Sizes(4_999_787_712, 10_973_184, 3072, 704_688_668, (33.7, 19.4)),
    "T2V-A14B": _Sizes(14_288_491_584, 29_184_000, **_A14B),
    "I2V-A14B": _Sizes(14_288_901_184, 29_184_000, **_A14B),
}
# Where all tokens have one timestep: eager, and compiled.
_LIVE_UNIFORM = (14.9, 9.0)
# More with int8 products, whose sums have 32 bits; TI2V-5B, compiled.
_LIVE_INT8 = 23
# Bytes for each pixel of a frame, with a VAE in float32.
_DECODED_PX_BYTES = {"contiguous": 23_500, "channels_last": 21_700}
# TI2V-5B encodes one frame; I2V-A14B a whole video that begins with it.
_ENCODED_PX_BYTES = {"TI2V-5B": 2_700, "I2V-A14B": 15_000}
# Tiles of 256 x 256 pixels in flight, whatever the frame's size.
_TILES_BYTES = 5_000_000_000
# A first-block cache keeps the first block's output, its residual and that of the other blocks, for each guidance pass
# of each expert, until the video is made.
_CACHED_TENSORS = 3
# Tensors of all tokens that each of several GPUs holds: embedded before they are shared out, gathered at the end, and
# queries, keys and values on their way through attention.
_WHOLE_TENSORS = 4

# On the host, each above what was seen: interpreter, libraries and CUDA; torch's compiling processes, as many as there
# are cores, 32 at most; float32 frames beside the tensor that they are made from. Pinned copies take the place of the
# weights one by one, and torch rounds the size of each up to a power of two: 1.45 times the weights of TI2V-5B (as
# measured) and 1.47 times those of an A14B. With `group` the VAE comes back for each four frames into memory that is
# asked for anew, and the process grows: by 9.6 GB more than with `sequential` for the 2.8 GB of TI2V-5B's, on an H200.
_HOST_BASE_BYTES = 6_000_000_000
_HOST_COMPILING_BYTES = 14_300_000_000
_HOST_VIDEO_COPIES = 2
_HOST_WEIGHT_COPIES = {"none": 0, "model": 1, "sequential": 1, "group": 1, "group_stream": 1.5}
_HOST_GROUP_VAE_COPIES = 3.5


def estimated_peak_bytes(case: Case) -> int | None:
    """Highest memory that torch will have allocated on a GPU, in bytes; None for what has no estimate.

    That is a tiny model, and attention that holds the square of the tokens (`_native_math`).
    """
    if case.scale == "tiny" or case.attention == "_native_math":
        return None
    sizes = _SIZES[case.model]
    item_bytes = _BYTES[case.dtype]
    weights = weights_of(case)
    eager, compiled = _LIVE_UNIFORM if case.timesteps == "uniform" else sizes.live
    live = (eager if case.compile == "none" else compiled) + (_LIVE_INT8 if case.quantization == "int8_rowwise" else 0)
    if case.gpus > 1:
        live = live / case.gpus + _WHOLE_TENSORS
    # One tensor of tokens x width.
    tensor_bytes = tokens(MODELS[case.model], case.frames, case.width_px, case.height_px) * sizes.width * item_bytes
    tensors_kept = 0 if case.cache == "none" else weights.experts * passes_per_step(case.guidance) * _CACHED_TENSORS
    cached = tensors_kept * tensor_bytes
    denoising = live * tensor_bytes + cached
    decoding, encoding = _vae_bytes(case)
    decoding += cached
    if case.offload == "none":
        peak = weights.all_bytes + max(denoising, decoding, encoding)
    elif case.offload == "model":
        # The VAE has encoded the image, and stays for the steps.
        resident = weights.vae_bytes if case.task == "i2v" else 0
        peak = max(
            weights.text_encoder_bytes + resident + encoding,
            weights.denoiser_bytes + resident + denoising,
            weights.vae_bytes + decoding,
        )
    else:
        peak = max(_LARGEST_LAYER * item_bytes, denoising, decoding, encoding)
    return round(peak)


def estimated_host_bytes(case: Case) -> int:
    """Highest memory of the case's processes on the host, in bytes."""
    video_bytes = _HOST_VIDEO_COPIES * 3 * case.frames * case.width_px * case.height_px * 4
    compiling_bytes = 0 if case.compile == "none" else _HOST_COMPILING_BYTES
    return case.gpus * round(_HOST_BASE_BYTES + video_bytes + _weights_on_host_bytes(case)) + compiling_bytes


def _weights_on_host_bytes(case: Case) -> float:
    if case.scale == "tiny":
        return 0
    weights = weights_of(case)
    if case.weights == "pretrained" and case.offload == "none":
        # Tensors go straight to the GPU, and the pages of a file stay mapped until its component is there: 10 GB of
        # TI2V-5B's denoiser and all of the text encoder, as measured.
        return weights.text_encoder_bytes
    group_bytes = _HOST_GROUP_VAE_COPIES * weights.vae_bytes if case.offload == "group" else 0
    return _HOST_WEIGHT_COPIES[case.offload] * weights.all_bytes + group_bytes


@dataclass(frozen=True)
class Weights:
    """Sizes of the weights of a full-scale case in its data types; one denoiser of `experts`."""

    text_encoder_bytes: int
    denoiser_bytes: int
    experts: int
    vae_bytes: int

    @property
    def all_bytes(self) -> int:
        return self.text_encoder_bytes + self.experts * self.denoiser_bytes + self.vae_bytes


def weights_of(case: Case) -> Weights:
    sizes, item_bytes = _SIZES[case.model], _BYTES[case.dtype]
    stored_bytes = item_bytes if case.quantization == case.layerwise_casting == "none" else 1
    return Weights(
        _TEXT_ENCODER * item_bytes + (2 * _TEXT_ENCODER_FLOAT32 if case.dtype == "float16" else 0),
        sizes.denoiser * stored_bytes + sizes.denoiser_float32 * (4 - stored_bytes),
        len(MODELS[case.model].guidance),
        sizes.vae * _BYTES[case.vae_dtype],
    )


def _vae_bytes(case: Case) -> tuple[float, float]:
    """Working memory of decoding, and of encoding the image; the decoded video is in the VAE's type."""
    frame_px, item_bytes = case.width_px * case.height_px, _BYTES[case.vae_dtype]
    share, video_bytes = item_bytes / 4, 3 * case.frames * frame_px * item_bytes
    decoding_bytes = _DECODED_PX_BYTES[case.vae_memory_format] * frame_px
    if case.vae_tiling:
        decoding_bytes = min(_TILES_BYTES, decoding_bytes)
    encoding_bytes = _ENCODED_PX_BYTES[case.model] * frame_px if case.task == "i2v" else 0.0
    return share * decoding_bytes + video_bytes, share * encoding_bytes

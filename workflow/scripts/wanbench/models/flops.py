"""Floating-point operations of the stages, in closed form. A multiply-add is two.

Matrix products, convolutions and attention are counted, elementwise work is not; torch's FlopCounterMode counts the
same (the tests compare both on meta devices).
"""

import math
from collections import Counter
from dataclasses import dataclass
from typing import Any

from wanbench.models.facts import LONGEST_PROMPT_TOKENS, passes_per_step

# Edge of the tiles in which diffusers' VAE works with tiling (0.42.1), and how far from each other they begin: they
# overlap. In pixels of the decoded video, or of the patches that are encoded.
_TILE_PX, _TILES_APART_PX = 256, 192


@dataclass(frozen=True)
class StageFlops:
    """Operations of one generation's stages.

    None where the architecture is not one whose count is known, and for a step whose cache skips some of them.
    """

    text_encoding: int
    step: int | None
    vae_decoding: int | None
    vae_encoding: int | None


@dataclass(frozen=True)
class VaeCost:
    """Operations of one direction of a VAE, per latent position (one of a latent frame's height times width).

    Attributes:
        first, further: convolutions for the first latent frame and for each further one, which stands for four
            frames of video.
        attention: of the middle block, times the square of the number of positions, for every latent frame.
    """

    first: int
    further: int
    attention: int

    def flops(self, latent_frames: int, positions: int) -> int:
        return sum(self.by_class(latent_frames, positions).values())

    def by_class(self, latent_frames: int, positions: int) -> dict[str, int]:
        return {
            "convolution": positions * (self.first + self.further * (latent_frames - 1)),
            "attention": self.attention * positions**2 * latent_frames,
        }


# Decoder and encoder by (base_dim, decoder_base_dim, z_dim). From FlopCounterMode on the full-size modules: counts
# for 1 to 4 latent frames and three areas lie on this form exactly, as convolutions and attention must.
_VAES = {
    (160, 256, 48): (VaeCost(5_830_775_296, 18_835_608_064, 4096), VaeCost(1_188_800_512, 3_574_556_672, 2560)),
    (96, None, 16): (VaeCost(687_882_752, 2_161_889_792, 1536), VaeCost(426_039_296, 1_280_731_136, 1536)),
}


def stage_flops(pipe: Any, case: Any) -> StageFlops:
    """Operations of a case's stages, from the configurations of the pipeline's own components."""
    vae = pipe.vae.config
    latent_frames, latent_size = _latent_size(vae, case)
    positions = math.prod(latent_size)
    # Guidance above 1 means a second pass without the prompt, and a second prompt to encode.
    passes = passes_per_step(case.guidance)
    per_token_timesteps = bool(pipe.config.expand_timesteps)
    transformer = pass_flops(pipe.transformer.config, latent_frames, positions, per_token_timesteps).all
    decoder, encoder = _VAES.get((vae.base_dim, vae.decoder_base_dim, vae.z_dim), (None, None))
    # TI2V-5B encodes the image; I2V-A14B a whole video that begins with it.
    encoded_frames = 0 if case.task == "t2v" else 1 if per_token_timesteps else latent_frames
    # The VAE asks for the size in pixels, also where it encodes patches.
    tiled = case.vae_tiling and max(case.height_px, case.width_px) > _TILE_PX

    def vae_flops(cost: VaeCost | None, frames: int, patch: int) -> int | None:
        areas = _tiles(latent_size, vae.scale_factor_spatial // patch) if tiled else [positions]
        return sum(cost.flops(frames, area) for area in areas) if cost and frames else None

    return StageFlops(
        text_encoding=passes * text_encoder_flops(pipe.text_encoder.config, LONGEST_PROMPT_TOKENS),
        step=passes * transformer if case.cache == "none" else None,
        vae_decoding=vae_flops(decoder, latent_frames, 1),
        vae_encoding=vae_flops(encoder, encoded_frames, vae.patch_size or 1),
    )


_PRODUCTS = {"none": "matmul", "fp8_rowwise": "matmul_float8", "int8_rowwise": "matmul_int8"}


def class_flops(pipe: Any, case: Any) -> dict[str, dict[str, int]]:
    """Operations of a step and of the decoding by class of `wanbench.registry.kernel_classes`, where they are known."""
    vae = pipe.vae.config
    latent_frames, latent_size = _latent_size(vae, case)
    positions = math.prod(latent_size)
    step: Counter[str] = Counter()
    if case.cache == "none":
        one = pass_flops(pipe.transformer.config, latent_frames, positions, bool(pipe.config.expand_timesteps))
        plain = "matmul_float32" if case.dtype == "float32" else "matmul"
        products = _PRODUCTS[case.quantization] if case.quantization != "none" else plain
        parts = ((products, one.blocks), (plain, one.matmul), ("matmul_float32", one.matmul_float32))
        for key, flops in (*parts, ("attention", one.attention), ("convolution", one.convolution)):
            step[key] += passes_per_step(case.guidance) * flops
    decoder, _ = _VAES.get((vae.base_dim, vae.decoder_base_dim, vae.z_dim), (None, None))
    decoding = decoder.by_class(latent_frames, positions) if decoder and not case.vae_tiling else {}
    return {"Step": dict(step), "VAE_Decoding": decoding}


def _latent_size(vae: Any, case: Any) -> tuple[int, tuple[int, int]]:
    """Frames of the latents, and their height and width."""
    spatial = vae.scale_factor_spatial
    return (case.frames - 1) // vae.scale_factor_temporal + 1, (case.height_px // spatial, case.width_px // spatial)


def _tiles(latent_size: tuple[int, int], scale: int) -> list[int]:
    """Latent positions of each tile; `scale` is pixels along the edge of one."""
    edge, apart = _TILE_PX // scale, _TILES_APART_PX // scale
    heights, widths = ([min(edge, side - start) for start in range(0, side, apart)] for side in latent_size)
    return [height * width for height in heights for width in widths]


@dataclass(frozen=True)
class PassFlops:
    """Operations of one forward pass of the denoiser, by what computes them.

    Attributes:
        blocks: matrix products of the blocks, which quantization is of.
        matmul: others in the data type of the case.
        matmul_float32: of the timesteps' first embedding, whose weights diffusers keeps in float32.
        convolution: which makes tokens of patches.
    """

    attention: int
    blocks: int
    matmul: int
    matmul_float32: int
    convolution: int

    @property
    def all(self) -> int:
        return self.attention + self.blocks + self.matmul + self.matmul_float32 + self.convolution


def pass_flops(config: Any, latent_frames: int, positions: int, per_token_timesteps: bool) -> PassFlops:
    """One forward pass of the denoiser.

    Args:
        config: of the `WanTransformer3DModel`.
        positions: height times width of a latent frame.
        per_token_timesteps: whether every token has a timestep of its own (TI2V-5B).
    """
    patch_frames, patch_height, patch_width = config.patch_size
    patch = patch_frames * patch_height * patch_width
    tokens = latent_frames * positions // patch
    width = config.num_attention_heads * config.attention_head_dim
    timesteps = tokens if per_token_timesteps else 1
    layers, text = config.num_layers, LONGEST_PROMPT_TOKENS
    embeddings = 2 * text * (config.text_dim * width + width**2) + 12 * timesteps * width**2
    # Query, key, value and output of self-attention and of cross-attention, whose keys and values are of the text.
    projections = 12 * tokens * width**2 + 4 * text * width**2
    feed_forward = 4 * tokens * width * config.ffn_dim
    return PassFlops(
        attention=layers * 4 * tokens * (tokens + text) * width,
        blocks=layers * (projections + feed_forward),
        matmul=embeddings + 2 * tokens * width * config.out_channels * patch,
        matmul_float32=2 * timesteps * (config.freq_dim * width + width**2),
        convolution=2 * tokens * config.in_channels * patch * width,
    )


def text_encoder_flops(config: Any, tokens: int) -> int:
    """One prompt through the UMT5 encoder."""
    inner = config.num_heads * config.d_kv
    linear = 2 * tokens * (4 * config.d_model * inner + 3 * config.d_model * config.d_ff)
    return config.num_layers * (linear + 4 * tokens**2 * inner)

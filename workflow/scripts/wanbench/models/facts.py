"""What the published Wan2.2 code and checkpoints fix for each model.

Sources: the model cards and `wan/configs` of Wan-Video/Wan2.2 (sizes, frames, steps, guidance, shift,
negative prompt), the `*-Diffusers` repositories on the hub (revisions).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

# The pipelines cut prompts there (`max_sequence_length` of their call, diffusers 0.42.1), and pad shorter ones.
LONGEST_PROMPT_TOKENS = 512


@dataclass(frozen=True)
class ModelFacts:
    """Official settings of one model.

    Attributes:
        revision: commit of the repository `hub_id` which `weights: pretrained` loads.
        tasks, sizes: the first is the default; sizes are width*height in pixels.
        size_multiple: width and height must be multiples of this many pixels (VAE stride times patch).
        frames, fps, steps: official length of the video (frames, frames per second) and of denoising.
        guidance: classifier-free guidance scale; for two experts (high noise, low noise).
        shift: timestep shift of the flow-matching schedule.
    """

    hub_id: str
    revision: str
    tasks: tuple[str, ...]
    sizes: tuple[str, ...]
    size_multiple: int
    frames: int
    fps: int
    steps: int
    guidance: tuple[float, ...]
    shift: float

    def defaults(self) -> dict[str, Any]:
        """Values of the settings that the model decides, but for the revision, which is of its own hub id alone."""
        return {
            "task": self.tasks[0],
            "checkpoint": self.hub_id,
            "size": self.sizes[0],
            "frames": self.frames,
            "steps": self.steps,
            "guidance": list(self.guidance),
            "shift": self.shift,
            "prompt": DEFAULT_PROMPT,
            "negative_prompt": DEFAULT_NEGATIVE_PROMPT,
        }


# Configurations of each model's components, by scale: full or tiny.
ARCHITECTURES = Path(__file__).parent / "architectures"

_T2V_A14B = ModelFacts(
    hub_id="Wan-AI/Wan2.2-T2V-A14B-Diffusers",
    revision="5be7df9619b54f4e2667b2755bc6a756675b5cd7",
    tasks=("t2v",),
    sizes=("1280*720", "720*1280", "832*480", "480*832"),
    size_multiple=16,
    frames=81,
    fps=16,
    steps=40,
    guidance=(4.0, 3.0),
    shift=12.0,
)

MODELS: dict[str, ModelFacts] = {
    "TI2V-5B": ModelFacts(
        hub_id="Wan-AI/Wan2.2-TI2V-5B-Diffusers",
        revision="b8fff7315c768468a5333511427288870b2e9635",
        tasks=("t2v", "i2v"),
        sizes=("1280*704", "704*1280"),
        size_multiple=32,
        frames=121,
        fps=24,
        steps=50,
        guidance=(5.0,),
        shift=5.0,
    ),
    "T2V-A14B": _T2V_A14B,
    "I2V-A14B": replace(
        _T2V_A14B,
        hub_id="Wan-AI/Wan2.2-I2V-A14B-Diffusers",
        revision="596658fd9ca6b7b71d5057529bbf319ecbc61d74",
        tasks=("i2v",),
        guidance=(3.5, 3.5),
        shift=5.0,
    ),
}

DEFAULT_PROMPT = (
    "Two anthropomorphic cats in comfy boxing gear and bright gloves fight intensely on a spotlighted stage."
)

# `sample_neg_prompt` of the official shared configuration: without it, guidance works against an empty prompt.
DEFAULT_NEGATIVE_PROMPT = (
    "色调艳丽，过曝，静态，细节模糊不清，字幕，风格，作品，画作，画面，静止，整体发灰，最差质量，低质量，"
    "JPEG压缩残留，丑陋的，残缺的，多余的手指，画得不好的手部，画得不好的脸部，畸形的，毁容的，形态畸形的肢体，"
    "手指融合，静止不动的画面，杂乱的背景，三条腿，背景人很多，倒着走"
)


def latent_frames(frames: int) -> int:
    """Frames of a video's latents: `AutoencoderKLWan` encodes the first by itself, and then four as one."""
    return (frames - 1) // 4 + 1


def tokens(facts: ModelFacts, frames: int, width_px: int, height_px: int) -> int:
    """Tokens that the denoiser sees of a video: one for each latent frame and square of `size_multiple` pixels."""
    return latent_frames(frames) * (width_px // facts.size_multiple) * (height_px // facts.size_multiple)


def passes_per_step(guidance: Sequence[float]) -> int:
    """Guidance of 1 or less leaves out the pass without the prompt. The first expert's decides for both."""
    return 2 if guidance[0] > 1 else 1

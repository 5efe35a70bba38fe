"""A case: a name, and everything that decides its run."""

from dataclasses import dataclass
from typing import Any

from wanbench.util.digests import sha256_of


@dataclass(frozen=True)
class Case:
    """One resolved case: no key is left to a default.

    Attributes:
        name: a label, and the name of the files that the case makes. Decides nothing about the run.
        model, task: which Wan2.2 model, and text-to-video ("t2v") or image-to-video ("i2v").
        weights: "random" or "pretrained".
        scale: size of a random model, "full" or "tiny"; None with a checkpoint, which brings its own.
        checkpoint, revision: hub id and commit, or a local folder and None; None with random weights.
        checkpoint_sha256: digest of a local folder; None as well where that is still to be written.
        size: width*height in pixels.
        guidance: classifier-free guidance scale; for A14B (high-noise expert, low-noise expert).
        offload: where weights wait while they are not used: "none", or one of diffusers' ways ("group_stream" is group
            offloading with copies on a stream of their own).
        attention: a diffusers attention backend.
        compile: "repeated_blocks" or "none".
        cache, cache_threshold: "first_block", which reuses the output of a pass's later blocks while the first one's
            changes by less than the threshold (lossy), or "none" and None.
        gpus: number of GPUs that denoise together, each in a process of its own, with diffusers' context parallelism
            (Ulysses); on a machine without a GPU, of processes on the CPU.
        image, image_sha256: the first frame of image-to-video, as a path, and its digest.
        warmup, repeats: number of generations before those that count, and of those that count.
        timeout_s: the measuring process is ended after this many seconds.
    """

    name: str
    model: str
    task: str
    weights: str
    scale: str | None
    checkpoint: str | None
    revision: str | None
    checkpoint_sha256: str | None
    size: str
    unofficial_size: bool
    frames: int
    steps: int
    guidance: tuple[float, ...]
    shift: float
    seed: int
    prompt: str
    negative_prompt: str
    image: str | None
    image_sha256: str | None
    offload: str
    dtype: str
    vae_dtype: str
    vae_tiling: bool
    attention: str
    compile: str
    cache: str
    cache_threshold: float | None
    gpus: int
    warmup: int
    repeats: int
    timeout_s: float

    @property
    def width_px(self) -> int:
        return int(self.size.split("*")[0])

    @property
    def height_px(self) -> int:
        return int(self.size.split("*")[1])

    @property
    def needs_writing(self) -> bool:
        """Whether its checkpoint is one that this project writes, and has not written yet."""
        return self.checkpoint is not None and self.revision is None and self.checkpoint_sha256 is None

    def settings(self) -> dict[str, Any]:
        """The case as plain JSON values, in the order of the attributes."""
        # Not asdict(), whose deep copies took half of the time to read a grid of 10,000 cases.
        return vars(self) | {"guidance": list(self.guidance)}

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> "Case":
        return cls(**settings | {"guidance": tuple(settings["guidance"])})


def case_sha256(settings: dict[str, Any]) -> str:
    """Digest of what decides a run: all settings but the name."""
    return sha256_of({key: value for key, value in settings.items() if key != "name"})

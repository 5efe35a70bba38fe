"""One generation, from the prompt to the video file, as a user of diffusers would run it."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import DiffusionPipeline, WanImageToVideoPipeline
from diffusers.utils import export_to_video

from wanbench.cases.case import Case
from wanbench.cases.first_frame import read_first_frame
from wanbench.measure.stage_clock import StageClock
from wanbench.models.facts import MODELS
from wanbench.registry import stages as stage_names
from wanbench.util.paths import named_path


def pipeline_arguments(case: Case) -> dict[str, Any]:
    """Keyword arguments of the pipeline call; reads the image of image-to-video."""
    arguments: dict[str, Any] = {
        "prompt": case.prompt,
        "negative_prompt": case.negative_prompt,
        "width": case.width_px,
        "height": case.height_px,
        "num_frames": case.frames,
        "num_inference_steps": case.steps,
        "guidance_scale": case.guidance[0],
        # On the host, so that a seed gives the same latents on every device.
        "generator": torch.Generator("cpu").manual_seed(case.seed),
        "output_type": "np",
    }
    if len(case.guidance) == 2:
        arguments["guidance_scale_2"] = case.guidance[1]
    if case.image is not None:
        arguments["image"] = read_first_frame(named_path(case.image))[0]
    return arguments


def generate(pipe: DiffusionPipeline, case: Case, video: Path, clock: StageClock) -> np.ndarray:
    """Run one generation of a pipeline under observation (`observe`) and write the video.

    Returns:
        Frames in [0, 1], shape (frames, height, width, 3).
    """
    clock.begin(stage_names.PREPROCESS)
    frames = pipe(**pipeline_arguments(case)).frames[0]
    with clock.span("Video_Encoding", "detail"):
        video.parent.mkdir(parents=True, exist_ok=True)
        part = video.with_name(f".{video.stem}.part{video.suffix}")
        export_to_video(list(frames), str(part), fps=MODELS[case.model].fps)
        part.replace(video)
    clock.end()
    return frames


def final_latents(pipe: DiffusionPipeline) -> np.ndarray | None:
    """Latents of the pipeline's last generation, float32, before the VAE's scale; None where nobody has them.

    UniPC's last step, to a noise of 0, gives the clean latents that it predicts, and the scheduler keeps its last
    predictions (`UniPCMultistepScheduler.model_outputs`): so nothing else needs to hold them while they are decoded.
    In image-to-video of TI2V-5B the first latent frame is the image's whatever was predicted, and is not among them.
    """
    scheduler = pipe.scheduler
    if not scheduler.config.predict_x0 or scheduler.sigmas[-1] != 0:
        return None
    latents = scheduler.model_outputs[-1].cpu().float().numpy()
    is_image_first = isinstance(pipe, WanImageToVideoPipeline) and pipe.config.expand_timesteps
    return latents[:, :, 1:] if is_image_first else latents

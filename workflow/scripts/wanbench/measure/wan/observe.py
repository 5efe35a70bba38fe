"""Observe the stages of an unmodified Wan pipeline, from outside.

The pipeline's own methods are wrapped for the length of a block. In the order in which
`WanPipeline.__call__` (diffusers 0.42.1) runs them:

    TI2V_Preprocess begins before the call
      encode_prompt                T5_Encoding, both prompts
      vae.encode                   detail VAE_Encoding (image-to-video)
    cache_context, first time      TI2V_Preprocess ends, Step_0 begins
      cache_context                detail CFG_cond and CFG_uncond; shows which expert runs
      torch.compile                Compilation, inside the step that is the first to need it
      scheduler.step returns       Step_i ends, Step_i+1 or VAE_Decoding begins
      vae.decode returns           VAE_Decoding ends, Video_Export begins
      postprocess_video            detail Video_Postprocess: from the device to frames on the host
      maybe_free_model_hooks       detail Offload_All
    Video_Export ends after the call
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any

import torch
from diffusers import DiffusionPipeline
from diffusers.hooks.first_block_cache import FBCHeadBlockHook
from torch._dynamo.callback import callback_handler

from wanbench.measure.stage_clock import StageClock
from wanbench.measure.wan.setup import modules_of, transformers_of
from wanbench.measure.wan.weight_transfers import observe_stream_waits, observe_weight_transfers, wrapped
from wanbench.registry import stages as stage_names

_Method = Callable[..., Any]


@contextmanager
def observe(pipe: DiffusionPipeline, clock: StageClock) -> Iterator[None]:
    """Write the stages of every call of `pipe` inside the block to the clock.

    `TI2V_Preprocess` must be open when the pipeline is called, and `Video_Export` is open when it returns.
    """
    steps = _Steps(pipe, clock)
    experts = transformers_of(pipe)
    about = [{"expert": "high_noise"}, {"expert": "low_noise"}] if len(experts) > 1 else [{}]
    methods = [
        (pipe, "encode_prompt", clock.span(stage_names.TEXT_ENCODING)),
        (pipe.vae, "encode", clock.span("VAE_Encoding", "detail")),
        (pipe.video_processor, "postprocess_video", clock.span("Video_Postprocess", "detail")),
        (pipe, "maybe_free_model_hooks", clock.span("Offload_All", "detail")),
        *((expert, "cache_context", partial(steps.cache_context, args)) for expert, args in zip(experts, about)),
        (pipe.scheduler, "step", steps.step),
        (FBCHeadBlockHook, "_should_compute_remaining_blocks", partial(_counting_reuse, clock)),
        (pipe.vae, "decode", partial(_before_export, clock)),
    ]
    with (
        observe_weight_transfers(clock),
        _observe_compilation(clock),
        observe_stream_waits(modules_of(pipe).values(), clock),
        wrapped(*methods),
    ):
        yield


class _Steps:
    """Denoising steps: the first begins with the first pass, the last ends with the scheduler's last step."""

    def __init__(self, pipe: DiffusionPipeline, clock: StageClock) -> None:
        self._pipe = pipe
        self._clock = clock
        self._done: int | None = None

    def _begin(self, step: int) -> None:
        self._clock.next(f"Step_{step}", "step", step=step, steps=len(self._pipe.scheduler.timesteps))
        self._done = step

    def cache_context(self, about: dict[str, str], original: Callable[..., AbstractContextManager[None]]) -> _Method:
        """A denoiser's context of one pass, with `about` in its arguments and in those of the step."""

        @contextmanager
        def observed(name: str, **kwargs: Any) -> Iterator[None]:
            if self._done is None:
                self._begin(0)
            self._clock.annotate(**about)
            with self._clock.span(f"CFG_{name}", "detail", **about), original(name, **kwargs):
                yield

        return observed

    def step(self, original: _Method) -> _Method:
        """The scheduler's step, after which the next one begins, or decoding."""

        def observed(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            done = (self._done or 0) + 1
            if done < len(self._pipe.scheduler.timesteps):
                self._begin(done)
            else:
                self._clock.next(stage_names.VAE_DECODING)
                self._done = None
            return result

        return observed


@contextmanager
def _observe_compilation(clock: StageClock) -> Iterator[None]:
    """A stage around each compilation, from torch's own callbacks: tracing, lowering and the compiler's work."""

    def begin(_: Any) -> None:
        clock.begin(stage_names.COMPILATION)

    def end(_: Any) -> None:
        clock.end()

    callback_handler.register_start_callback(begin)
    callback_handler.register_end_callback(end)
    yield
    callback_handler.remove_start_callback(begin)
    callback_handler.remove_end_callback(end)


def _counting_reuse(clock: StageClock, original: Callable[..., bool]) -> Callable[..., bool]:
    """Count in each step the passes for which a first-block cache reuses the later blocks' output."""

    def should_compute(*args: Any) -> bool:
        computes = original(*args)
        clock.count_in_step("passes_reused", 0 if computes else 1)
        return computes

    return torch.compiler.disable(should_compute)


def _before_export(clock: StageClock, original: _Method) -> _Method:
    def decode(*args: Any, **kwargs: Any) -> Any:
        result = original(*args, **kwargs)
        clock.next(stage_names.VIDEO_EXPORT)
        return result

    return decode

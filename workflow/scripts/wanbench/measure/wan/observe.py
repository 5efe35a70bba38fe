"""Observe the stages of an unmodified Wan pipeline, from outside.

The pipeline's own methods are wrapped for the length of a block. In the order in which
`WanPipeline.__call__` (diffusers 0.42.1) runs them:

    TI2V_Preprocess begins before the call
      encode_prompt                T5_Encoding, both prompts
      vae.encode                   detail VAE_Encoding (image-to-video)
    cache_context, first time      TI2V_Preprocess ends, Step_0 begins
      cache_context                detail CFG_cond and CFG_uncond; tells which expert runs
      torch.compile                Compilation, inside the step that is the first to need it
      scheduler.step returns       Step_i ends, Step_i+1 or VAE_Decoding begins
      vae.decode returns           VAE_Decoding ends, Video_Export begins
      postprocess_video            detail Video_Postprocess: from the device to frames on the host
      maybe_free_model_hooks       detail Offload_All
    Video_Export ends after the call
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Any

import torch
from diffusers import DiffusionPipeline
from diffusers.hooks.first_block_cache import FBCHeadBlockHook
from torch._dynamo.callback import callback_handler

from wanbench.measure.stage_clock import StageClock
from wanbench.measure.wan.patching import Patches, patching
from wanbench.measure.wan.stream_waits import observe_stream_waits
from wanbench.measure.wan.weight_transfers import observe_weight_transfers
from wanbench.registry import stages as stage_names

EXPERTS = {"transformer": "high_noise", "transformer_2": "low_noise"}


@contextmanager
def observe(pipe: DiffusionPipeline, clock: StageClock) -> Iterator[None]:
    """Write the stages of every call of `pipe` inside the block to the clock.

    `TI2V_Preprocess` must be open when the pipeline is called, and `Video_Export` is open when it returns.
    """
    with ExitStack() as around:
        patches = around.enter_context(patching())
        around.enter_context(observe_weight_transfers(clock))
        around.enter_context(_observe_compilation(clock))
        modules = [part for part in pipe.components.values() if isinstance(part, torch.nn.Module)]
        around.enter_context(observe_stream_waits(modules, clock))
        _span_around(patches, clock, pipe, "encode_prompt", stage_names.TEXT_ENCODING, "stage")
        _span_around(patches, clock, pipe.vae, "encode", "VAE_Encoding", "detail")
        _observe_steps(patches, clock, pipe)
        _observe_cache(patches, clock)
        _observe_decoding(patches, clock, pipe)
        _span_around(patches, clock, pipe.video_processor, "postprocess_video", "Video_Postprocess", "detail")
        _span_around(patches, clock, pipe, "maybe_free_model_hooks", "Offload_All", "detail")
        yield


def _span_around(patches: Patches, clock: StageClock, owner: Any, method: str, name: str, kind: str) -> None:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with clock.span(name, kind):
                return original(*args, **kwargs)

        return wrapped

    patches.replace(owner, method, make)


def _observe_steps(patches: Patches, clock: StageClock, pipe: DiffusionPipeline) -> None:
    done = 0
    in_steps = False
    two_experts = pipe.transformer is not None and pipe.transformer_2 is not None

    def make_cache_context(which: dict[str, str]) -> Callable[..., Any]:
        def make(original: Callable[..., AbstractContextManager[None]]) -> Callable[..., Any]:
            @contextmanager
            def cache_context(name: str, **kwargs: Any) -> Iterator[None]:
                nonlocal in_steps
                if not in_steps:
                    in_steps = True
                    clock.next("Step_0", "step", step=0, steps=len(pipe.scheduler.timesteps))
                clock.annotate(**which)
                clock.begin(f"CFG_{name}", "detail", **which)
                with original(name, **kwargs):
                    yield
                clock.end()

            return cache_context

        return make

    def make_step(original: Callable[..., Any]) -> Callable[..., Any]:
        def step(*args: Any, **kwargs: Any) -> Any:
            nonlocal done, in_steps
            result = original(*args, **kwargs)
            done += 1
            steps = len(pipe.scheduler.timesteps)
            if done < steps:
                clock.next(f"Step_{done}", "step", step=done, steps=steps)
            else:
                clock.next(stage_names.VAE_DECODING)
                done, in_steps = 0, False
            return result

        return step

    for label, expert in EXPERTS.items():
        transformer = getattr(pipe, label)
        if transformer is not None:
            patches.replace(transformer, "cache_context", make_cache_context({"expert": expert} if two_experts else {}))
    patches.replace(pipe.scheduler, "step", make_step)


@contextmanager
def _observe_compilation(clock: StageClock) -> Iterator[None]:
    """A stage around each compilation, from torch's own callbacks: tracing, lowering and the compiler's work."""

    def begin(_: Any) -> None:
        clock.begin(stage_names.COMPILATION)

    def end(_: Any) -> None:
        clock.end()

    callback_handler.register_start_callback(begin)
    callback_handler.register_end_callback(end)
    try:
        yield
    finally:
        callback_handler.remove_start_callback(begin)
        callback_handler.remove_end_callback(end)


def _observe_cache(patches: Patches, clock: StageClock) -> None:
    """Count in each step the passes for which a first-block cache reuses the later blocks' output."""

    def make(original: Callable[..., bool]) -> Callable[..., bool]:
        def should_compute(*args: Any) -> bool:
            computes = original(*args)
            clock.count_in_step("passes_reused", 0 if computes else 1)
            return computes

        return torch.compiler.disable(should_compute)

    patches.replace(FBCHeadBlockHook, "_should_compute_remaining_blocks", make)


def _observe_decoding(patches: Patches, clock: StageClock, pipe: DiffusionPipeline) -> None:
    def make(original: Callable[..., Any]) -> Callable[..., Any]:
        def decode(*args: Any, **kwargs: Any) -> Any:
            result = original(*args, **kwargs)
            clock.next(stage_names.VIDEO_EXPORT)
            return result

        return decode

    patches.replace(pipe.vae, "decode", make)

"""What a case's last generation really did, where settings alone do not say it."""

import re
from importlib.metadata import version
from typing import Any

import torch
from diffusers import DiffusionPipeline
from diffusers.pipelines.wan.pipeline_wan import prompt_clean
from torch._dynamo.utils import counters
from torch.nn.attention import SDPBackend

from wanbench.cases.case import Case
from wanbench.models.facts import MODELS, tokens

# Backends that leave the choice of the kernel to torch, and those that are one.
_NATIVE = {f"_native_{kernel}": kernel for kernel in ("cudnn", "efficient", "flash", "math")}
# As in requirements-fast.txt.
_XFORMERS = "0.0.34"
# By what xformers calls them, before a version.
_OF_XFORMERS = {"fa3F": "flash_3", "fa2F": "flash_2", "cutlassF": "cutlass"}


def what_ran(pipe: DiffusionPipeline, case: Case) -> dict[str, Any]:
    """By key of a trace's `ran`; None for what is not known or has no meaning in the case."""
    guided = bool(pipe.do_classifier_free_guidance)
    return {
        "attention_kernel": attention_kernel(pipe, case),
        "compiled_frames": None if case.compile == "none" else compiled_frames(),
        "guidance_on": guided,
        "prompt_tokens": _tokens(pipe, case.prompt),
        "negative_prompt_tokens": _tokens(pipe, case.negative_prompt) if guided else None,
    }


def compiled_frames() -> int:
    """Functions for which torch.compile has made code in this process, and not fallen back to Python.

    Graphs are counted once their code is made. Its own count of frames leaves out those with `fullgraph=True`.
    """
    return counters["stats"]["unique_graphs"]


def has_reached_recompile_limit() -> bool:
    """Whether torch gave up to compile a function for further shapes or states, which then ran in Python.

    With `fullgraph=True` it raises an error instead.
    """
    # There is no other sign of it than a warning: of torch/_dynamo/convert_frame.py.
    return any(reason.startswith("Dynamo recompile limit exceeded") for reason in counters["unimplemented"])


@torch.no_grad()
def attention_kernel(pipe: DiffusionPipeline, case: Case) -> str | None:
    """The kernel that computes self-attention, as `attention_kernel` of the tables has it; None where nobody tells.

    With attention `native` torch chooses one for each shape and type, with `xformers` that package, and is asked for
    the choice that it makes for the case's own. The tensors that it is asked with have the shape of the real ones and
    the size of one number each.
    """
    if case.attention not in ("native", "xformers"):
        return _NATIVE.get(case.attention)
    heads, width = pipe.transformer.config.num_attention_heads, pipe.transformer.config.attention_head_dim
    count = tokens(MODELS[case.model], case.frames, case.width_px, case.height_px)
    one = torch.empty(1, 1, 1, width, dtype=getattr(torch, case.dtype), device=pipe._execution_device)
    like = one.expand(1, count, heads, width)
    if case.attention == "xformers":
        return _chosen_by_xformers(like)
    like = like.permute(0, 2, 1, 3)
    chosen = SDPBackend(torch._fused_sdp_choice(like, like, like)).name.removesuffix("_ATTENTION").lower()
    return chosen if chosen in _NATIVE.values() else None


def _chosen_by_xformers(like: torch.Tensor) -> str | None:
    # It chooses anew in each call, and tells it in no other way than by an internal, which this version has.
    if version("xformers") != _XFORMERS:
        return None
    from xformers.ops.fmha import Inputs, dispatch

    name = dispatch._dispatch_fw(Inputs(like, like, like), False).NAME
    return _OF_XFORMERS.get(re.split("[@-]", name)[0])


def _tokens(pipe: DiffusionPipeline, text: str) -> int:
    return len(pipe.tokenizer(prompt_clean(text), add_special_tokens=True, verbose=False).input_ids)

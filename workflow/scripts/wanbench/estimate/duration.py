"""How long a case may take: an estimate from its settings alone, before anything runs and on whatever GPU.

A cluster is asked for this time and ends what takes longer, so the rates are well below those that were seen. Several
GPUs count as one: how much faster they are depends on how they are linked. The download of a checkpoint is not in it.

The sum is 4.6 to 14 times what the kept cases of one H200 or H100 took that ran to their end (up to 20 times on several
of them, and 24 where a cache served in most passes), and at least 2.9 times every published time of one GPU.
"""

import json
from dataclasses import replace
from functools import cache
from types import SimpleNamespace

from wanbench.cases.case import Case
from wanbench.estimate.memory import weights_of
from wanbench.models.facts import ARCHITECTURES, latent_frames, passes_per_step
from wanbench.models.flops import stage_flops

# An RTX 4090, the slowest GPU with a published time, did 97e12 in 16 bit.
_FLOPS_PER_S = {"bfloat16": 40e12, "float16": 40e12, "float32": 5e12}
# Between host and GPU, of pageable memory on an H200. With `group`, whose way back alone took as long, a third.
_TRANSFERRED_BYTES_PER_S = 1.4e9
_GROUP_BYTES_PER_S = 0.5e9
# Weights from a checkpoint, or made on the host.
_LOADED_BYTES_PER_S = 0.2e9
# Imports from a cold file system.
_STARTING_S = 120
_COMPILING_S = 300


def estimated_duration_s(case: Case) -> float:
    """Seconds from the start of the measuring process to its end. A tiny model takes next to nothing."""
    starting_s = _STARTING_S + (0 if case.compile == "none" else _COMPILING_S)
    if case.scale == "tiny":
        return starting_s
    return starting_s + _loading_s(case) + (case.warmup + case.repeats) * (_computing_s(case) + _transfers_s(case))


def _computing_s(case: Case) -> float:
    # A cache only ever skips some of it.
    flops = stage_flops(architecture(case.model), replace(case, cache="none"))
    stages = (flops.text_encoding, case.steps * flops.step, flops.vae_encoding or 0, flops.vae_decoding)
    return sum(stages) / _FLOPS_PER_S[case.dtype]


def _transfers_s(case: Case) -> float:
    weights = weights_of(case)
    passes = case.steps * passes_per_step(case.guidance)
    # All weights there and back for each generation, or the denoiser's for each pass; with `group` there and back, and
    # also the text encoder's for each of two prompts and the VAE's for each four frames.
    if case.offload == "group":
        decoding_bytes = latent_frames(case.frames) * weights.vae_bytes
        one_way = passes * weights.denoiser_bytes + 2 * weights.text_encoder_bytes + decoding_bytes
        return 2 * one_way / _GROUP_BYTES_PER_S
    bytes_ = {"none": 0, "model": 2 * weights.all_bytes}.get(case.offload, passes * weights.denoiser_bytes)
    return bytes_ / _TRANSFERRED_BYTES_PER_S


def _loading_s(case: Case) -> float:
    if case.weights == "random" and case.offload == "none":
        return 0.0
    return weights_of(case).all_bytes / _LOADED_BYTES_PER_S


@cache
def architecture(model: str) -> SimpleNamespace:
    """The configurations of a model's components, where a pipeline would have them."""

    def part(file: str) -> SimpleNamespace:
        config = json.loads((ARCHITECTURES / "full" / model / file).read_text("utf-8"))
        return SimpleNamespace(config=SimpleNamespace(**config))

    components = {name: part(f"{name}/config.json") for name in ("transformer", "vae", "text_encoder")}
    return SimpleNamespace(config=part("model_index.json").config, **components)

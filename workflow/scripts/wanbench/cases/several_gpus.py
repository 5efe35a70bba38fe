"""Can a case be spread over several GPUs? Answered before any work starts, without importing what runs it.

diffusers' context parallelism (Ulysses) gives each GPU an equal part of the tokens, and in attention an equal part of
the heads. What it cannot do with the rest of a case, it finds out in the middle of a step, or never.
"""

import json
from typing import Any

from wanbench.cases.scale import scale_written
from wanbench.cases.schema import not_allowed
from wanbench.models.facts import ARCHITECTURES, MODELS, tokens
from wanbench.util.paths import named_path

# `_AttentionBackendRegistry._supports_context_parallel` of diffusers, of the backends that a case may name.
_PARALLEL_ATTENTION = "native _native_cudnn _native_flash flash flash_hub _flash_3_hub sage sage_hub"
PARALLEL_ATTENTION = tuple(_PARALLEL_ATTENTION.split())


def check_gpus(settings: dict[str, Any], where: str) -> None:
    """Check that a case can be shared out to its `gpus`; without size or frames, as far as its model decides."""
    gpus, model = settings["gpus"], settings["model"]
    if gpus == 1:
        return
    heads, token_count, at_size, and_tokens = _attention_heads(settings), 0, "", ""
    if "size" in settings and "frames" in settings:
        width_px, height_px = map(int, settings["size"].split("*"))
        token_count = tokens(MODELS[model], settings["frames"], width_px, height_px)
        at_size, and_tokens = f" at {settings['size']}", f" and the {token_count} tokens"
    if heads % gpus or token_count % gpus:
        allowed = ", ".join(str(n) for n in range(1, heads + 1) if not heads % n and not token_count % n)
        reason = f"the {heads} attention heads{and_tokens} must be divisible by it"
        raise not_allowed(where, "gpus", gpus, f"{allowed} ({model}{at_size}: {reason})")


def _attention_heads(settings: dict[str, Any]) -> int:
    """Heads of the denoiser: of a checkpoint folder what it says itself, else those of the published model."""
    checkpoint = settings["checkpoint"] or ""
    file = named_path(checkpoint) / "transformer/config.json"
    if not checkpoint or not file.is_file():
        scale = settings["scale"] or scale_written(checkpoint) or "full"
        file = ARCHITECTURES / scale / settings["model"] / "transformer/config.json"
    heads = json.loads(file.read_text("utf-8")).get("num_attention_heads")
    # As diffusers reads a configuration that does not say.
    return heads if isinstance(heads, int) and heads > 0 else 40

"""Of which scale the model of a checkpoint is, without a look into its configuration."""

import re

from wanbench.models import MODELS

# Weights of a checkpoint that is none of a tiny model: the least published one has 34e9, those made for tests some 1e6.
LEAST_FULL_BYTES = 1_000_000_000
_WRITTEN = re.compile(rf"results/checkpoints/(full|tiny)/({'|'.join(MODELS)})")


def scale_written(checkpoint: str) -> str | None:
    """The scale, full or tiny, of a folder that rule checkpoint writes, be it there or not; None of any other."""
    written = _WRITTEN.fullmatch(checkpoint)
    return written[1] if written else None

"""A share scaled to the model's official number of steps: a preview exaggerates what is paid once."""

from wanbench.analysis.comparable import is_cache_at_random
from wanbench.findings.basis import BOTTLENECK, NOTE, Context
from wanbench.registry.stages import OK


def scaled(
    context: Context,
    part_s: float,
    whole_s: float,
    limit_pct: float,
    *,
    generations: int = 1,
    step_part_s: float = 0,
    low: bool = False,
) -> tuple[str, dict[str, float]]:
    """The severity of a share of so many generations together, a note where it is harmless at the official steps.

    And that share as evidence, where the case ran fewer steps and it is known.

    Args:
        part_s, whole_s: the share as it was measured.
        limit_pct: the finding fires from this share on, or below it with `low`.
        step_part_s: what every further step adds to the part.
    """
    more, step_s = context.official_steps - int(context.case["steps"]), context.number("step_s")
    if more <= 0 or step_s is None or context.case["status"] != OK:
        return BOTTLENECK, {}
    # How often a cache serves random weights says nothing of more steps.
    if is_cache_at_random(context.case):
        return NOTE, {}
    added = generations * more
    share_pct = 100 * (part_s + added * step_part_s) / (whole_s + added * step_s)
    fires = share_pct < limit_pct if low else share_pct >= limit_pct
    return BOTTLENECK if fires else NOTE, {"official_steps_share_pct": share_pct}

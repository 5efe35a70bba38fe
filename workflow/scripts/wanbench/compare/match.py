"""Which cases of two runs belong together, and in what they differ."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wanbench.compare.measured_cases import MeasuredCase

# Cases that differ in one of these made different videos: no figure of one says anything about the other.
_SAME_VIDEO = ("model", "task", "size", "frames")


# Kinds of differences.
SETTING, HOW_OFTEN, HARDWARE, ANOTHER_GPU, SOFTWARE = "setting", "how often", "hardware", "another GPU", "software"


@dataclass(frozen=True)
class Pair:
    """A case of the baseline, and the one of this run that it is held against."""

    old: MeasuredCase
    new: MeasuredCase


@dataclass(frozen=True)
class Difference:
    """Something in which two cases differ; None where one side does not say.

    Attributes:
        kind: "setting"; "how often", of what is measured alike; "hardware", "software", or "another GPU": two of one
            name, which `old` and `new` are.
    """

    kind: str
    what: str
    old: Any
    new: Any

    def __str__(self) -> str:
        if self.kind == ANOTHER_GPU:
            return f"{self.what}: another one of this name"
        return f"{self.what} {_shown(self.old)} -> {_shown(self.new)}"


def match(
    old: Sequence[MeasuredCase], new: Sequence[MeasuredCase]
) -> tuple[list[Pair], list[MeasuredCase], list[MeasuredCase]]:
    """Pairs in the order of `new`, then the cases that only the baseline has, and only this run.

    Cases of one name and the same settings come first; then those of the same settings, which were renamed; then those
    of one name, whose settings were changed. How often each measured decides where several have the same settings.
    """
    left_old, left_new = list(old), list(new)
    pairs: list[Pair] = []
    alike: tuple[Callable[[MeasuredCase, MeasuredCase], bool], ...] = (
        lambda a, b: a.name == b.name and a.settings == b.settings,
        lambda a, b: a.settings == b.settings and a.how_often == b.how_often,
        lambda a, b: a.settings == b.settings,
        lambda a, b: a.name == b.name,
    )
    for belongs in alike:
        for case in list(left_new):
            other = next((candidate for candidate in left_old if belongs(candidate, case)), None)
            if other is not None:
                pairs.append(Pair(other, case))
                left_old.remove(other)
                left_new.remove(case)
    order = [case.name for case in new]
    return sorted(pairs, key=lambda pair: order.index(pair.new.name)), left_old, left_new


def differences(pair: Pair) -> list[Difference]:
    """Settings that both sides tell; how often, hardware and software where both are known; and which GPU it was."""
    old, new = pair.old, pair.new
    shared = {key: value for key, value in old.settings.items() if key in new.settings}
    found = _differing(SETTING, shared, {key: new.settings[key] for key in shared})
    for kind, of_old, of_new in (
        (HOW_OFTEN, old.how_often, new.how_often),
        (HARDWARE, old.hardware, new.hardware),
        (SOFTWARE, old.software, new.software),
    ):
        if of_old and of_new:
            found += _differing(kind, of_old, of_new)
    names = {case.hardware.get("GPU") for case in (old, new)}
    if len(names) == 1 and old.gpu_uuids and new.gpu_uuids and old.gpu_uuids != new.gpu_uuids:
        # Its UUID is in the trace. Here the name is enough, and is the same in all cases of two machines with several.
        (name,) = names
        found.append(Difference(ANOTHER_GPU, "GPU", name, name))
    return found


def _differing(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    # Not all versions of a package list name the same packages.
    keys = [*old, *(key for key in new if key not in old)]
    return [Difference(kind, key, old.get(key), new.get(key)) for key in keys if old.get(key) != new.get(key)]


def other_video(found: Sequence[Difference]) -> list[Difference]:
    """Those of the differences that leave nothing to compare."""
    return [difference for difference in found if difference.kind == SETTING and difference.what in _SAME_VIDEO]


def in_all(differences_of: Sequence[Sequence[Difference]]) -> list[Difference]:
    """Differences in hardware and software that all pairs have."""
    if not differences_of:
        return []
    first, *others = differences_of
    return [item for item in first if item.kind not in (SETTING, HOW_OFTEN) and all(item in other for other in others)]


def _shown(value: Any) -> str:
    # Prompts are long, and that they differ is all there is to say.
    text = "n/a" if value is None else " ".join(str(value).split())
    return text if len(text) <= 40 else f"{text[:39]}…"

"""Which cases of two runs belong together, and in what they differ."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from wanbench.compare.sides import Side

# Kinds of differences.
SETTING, HOW_OFTEN, HARDWARE, ANOTHER_GPU, SOFTWARE = "setting", "how often", "hardware", "another GPU", "software"
# Cases that differ in one of these made different videos: no figure of one says anything about the other.
_SAME_VIDEO = ("model", "task", "size", "frames")
# Two processors that nobody knows need not be the same.
_CPU = "CPU"
_NOT_SET = "not set"
# Which columns are equal in two cases that belong together, by falling precedence.
_ALIKE = (["case", "settings_key"], ["settings_key", "how_often_key"], ["settings_key"], ["case"])


@dataclass(frozen=True)
class Difference:
    """Something in which two cases differ; None where one side does not log it.

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


def match(old: Side, new: Side) -> pd.DataFrame:
    """Names of the cases that belong together, in the columns `old_case` and `case`, in the order of `new`.

    Cases of one name and the same settings come first; then those of the same settings, which were renamed; then those
    of one name, whose settings were changed. How often each measured decides where several have the same settings.
    """
    pairs = pd.DataFrame({"old_case": [], "new_case": []}, dtype=object)
    for columns in _ALIKE:
        sides = []
        for name, side in (("old_case", old), ("new_case", new)):
            rest = side.cases[~side.cases["case"].isin(pairs[name])]
            # Of several that are alike, the first goes with the first.
            sides.append(rest.assign(**{name: rest["case"], "nth": rest.groupby(columns).cumcount()}))
        pairs = pd.concat([pairs, sides[0].merge(sides[1], on=[*columns, "nth"])[["old_case", "new_case"]]])
    pairs = pairs.rename(columns={"new_case": "case"})
    return new.cases[["case"]].merge(pairs, on="case")[["old_case", "case"]]


def differences(old: pd.Series, new: pd.Series) -> list[Difference]:
    """Settings, how often, hardware and software where both sides log them; and whether it was another GPU."""
    found = []
    for kind, key in ((SETTING, "settings"), (HOW_OFTEN, "how_often"), (HARDWARE, "hardware"), (SOFTWARE, "software")):
        if old[key] and new[key]:
            # Of hardware, older traces record less: what one side does not record is no difference.
            alike = old[key].keys() & new[key].keys() if kind == HARDWARE else old[key] | new[key]
            found += [each for each in _differing(kind, old[key], new[key]) if each.what in alike]
    if old["variables"] is not None and new["variables"] is not None:
        found += _differing(SOFTWARE, *(_variables(case["variables"]) for case in (old, new)), missing=_NOT_SET)
    name, other_name = (case["hardware"].get("GPU") for case in (old, new))
    if name == other_name and old["gpu_uuids"] and new["gpu_uuids"] and old["gpu_uuids"] != new["gpu_uuids"]:
        # Its UUID is in the trace. Here the name is enough, and is the same in all cases of two machines with several.
        found.append(Difference(ANOTHER_GPU, "GPU", name, name))
    return found


def _differing(kind: str, old: Mapping[str, Any], new: Mapping[str, Any], missing: Any = None) -> list[Difference]:
    # Not all versions of a package list name the same packages.
    pairs = [(key, old.get(key, missing), new.get(key, missing)) for key in old | new]
    return [Difference(kind, *pair) for pair in pairs if pair[1] != pair[2] or (pair[0] == _CPU and pair[1] is None)]


def _variables(values: Mapping[str, str | None]) -> dict[str, str]:
    return {f"variable {name}": "set" if value is None else value for name, value in values.items()}


def other_video(found: Sequence[Difference]) -> bool:
    """Whether the differences leave nothing to compare."""
    return any(difference.kind == SETTING and difference.what in _SAME_VIDEO for difference in found)


def in_all(differences_of: Sequence[Sequence[Difference]]) -> list[Difference]:
    """Differences in hardware and software that all pairs have."""
    if not differences_of:
        return []
    first, *others = differences_of
    return [item for item in first if item.kind not in (SETTING, HOW_OFTEN) and all(item in other for other in others)]


def _shown(value: Any) -> str:
    # Prompts are long, and that they differ is all there is to see.
    text = "n/a" if value is None else " ".join(str(value).split())
    return text if len(text) <= 40 else f"{text[:39]}…"

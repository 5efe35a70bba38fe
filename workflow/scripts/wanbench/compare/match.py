"""Which cases of two runs belong together, and in what they differ."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from wanbench.compare.sides import WORDS, SideCase

# Kinds of differences.
SETTING, HOW_OFTEN, HARDWARE, ANOTHER_GPU, SOFTWARE = "setting", "how often", "hardware", "another GPU", "software"
# Two processors that nobody knows need not be the same.
_CPU = "CPU"
# What is equal in two cases that belong together, by falling precedence.
_ALIKE = (("case", "settings"), ("settings", "how_often"), ("settings",), ("case",))


@dataclass(frozen=True)
class Difference:
    """Something of a kind in which two cases differ; None where one side does not log it. Another GPU has one name."""

    kind: str
    what: str
    old: Any
    new: Any

    def __str__(self) -> str:
        return WORDS.difference(self.kind, self.what, self.old, self.new)


def match(old: Sequence[SideCase], new: Sequence[SideCase]) -> list[tuple[SideCase, SideCase]]:
    """The cases that belong together, in the order of `new`.

    Cases of one name and the same settings come first; then those of the same settings, which were renamed; then those
    of one name, whose settings were changed. How often each measured decides where several have the same settings.
    """
    partners: dict[str, SideCase] = {}
    for keys in _ALIKE:
        taken = {partner.case for partner in partners.values()}
        free: dict[str, list[SideCase]] = defaultdict(list)
        for case in old:
            if case.case not in taken:
                free[_text(case, keys)].append(case)
        for case in new:
            # Of several that are alike, the first goes with the first.
            if case.case not in partners and (alike := free[_text(case, keys)]):
                partners[case.case] = alike.pop(0)
    return [(partners[case.case], case) for case in new if case.case in partners]


def _text(case: SideCase, keys: Sequence[str]) -> str:
    return json.dumps([getattr(case, key) for key in keys], sort_keys=True)


def differences(old: SideCase, new: SideCase) -> list[Difference]:
    """Settings, how often, hardware and software where both sides log them; and whether it was another GPU."""
    found = _differing(SETTING, old.settings, new.settings) + _differing(HOW_OFTEN, old.how_often, new.how_often)
    # Of hardware, older traces record less: what one side does not record is no difference.
    both = old.hardware.keys() & new.hardware.keys()
    found += [each for each in _differing(HARDWARE, old.hardware, new.hardware) if each.what in both]
    found += _differing(SOFTWARE, old.software, new.software)
    if old.variables is not None and new.variables is not None:
        values = [
            {f"variable {name}": _variable(case.variables, name) for name in old.variables | new.variables}
            for case in (old, new)
        ]
        found += _differing(SOFTWARE, *values)
    name = old.hardware.get("GPU")
    if name == new.hardware.get("GPU") and old.gpu_uuids and new.gpu_uuids and old.gpu_uuids != new.gpu_uuids:
        # Its UUID is in the trace. Here the name is enough, and is the same in all cases of two machines with several.
        found.append(Difference(ANOTHER_GPU, "GPU", name, name))
    return found


def _differing(kind: str, old: Mapping[str, Any], new: Mapping[str, Any]) -> list[Difference]:
    """Of a side that logs nothing, nothing differs; not all versions of a package list name the same packages."""
    pairs = [(key, old.get(key), new.get(key)) for key in (old | new if old and new else ())]
    return [Difference(kind, *pair) for pair in pairs if pair[1] != pair[2] or (pair[0] == _CPU and pair[1] is None)]


def _variable(variables: Mapping[str, str | None], name: str) -> str:
    # The value of some is not kept, since it may hold a secret.
    return ("set" if variables[name] is None else variables[name]) if name in variables else "not set"


def in_all(differences_of: Sequence[Sequence[Difference]]) -> list[Difference]:
    """Differences in hardware and software that all pairs have."""
    first, *others = differences_of or [[]]
    return [item for item in first if item.kind not in (SETTING, HOW_OFTEN) and all(item in other for other in others)]

"""Multiply a grid of axes into named cases."""

import itertools
import math
import re
from typing import Any

from wanbench.cases.schema import check, nearest, shown
from wanbench.util.errors import InputError
from wanbench.util.text import cut

# Far more than Snakemake can plan, and few enough to list.
_MOST_COMBINATIONS = 1_000_000


def expand_grid(grid: dict[str, Any], where: str) -> dict[str, dict[str, Any]]:
    """Name and settings of every combination of the axes that is not excluded.

    Args:
        grid: the `grid` section: `name` (a pattern), `axes` (lists), `set` (fixed keys), `exclude` (list).

    Raises:
        InputError: one line on what is not allowed.
    """
    axes: dict[str, list[Any]] = grid["axes"]
    fixed: dict[str, Any] = grid.get("set", {})
    excluded: list[dict[str, Any]] = grid.get("exclude", [])
    _check_axes(axes, fixed, excluded, where)
    cases: dict[str, dict[str, Any]] = {}
    unused = list(excluded)
    for values in itertools.product(*axes.values()):
        combination = dict(zip(axes, values))
        if matching := [pattern for pattern in excluded if pattern.items() <= combination.items()]:
            unused = [pattern for pattern in unused if pattern not in matching]
            continue
        name = _name(grid["name"], combination, where)
        if name in cases:
            raise InputError(
                f"{where}: name: {shown(grid['name'])} gives {cut(name, 100)!r} to two cases; "
                f"allowed: a pattern with every axis in braces: {', '.join('{' + axis + '}' for axis in axes)}"
            )
        cases[name] = fixed | combination
    for pattern in unused:
        raise InputError(f"{where}: exclude: {shown(pattern)} matches no combination of the axes")
    return cases


def _check_axes(axes: dict[str, list[Any]], fixed: dict[str, Any], excluded: list[dict[str, Any]], where: str) -> None:
    combinations = math.prod(len(values) for values in axes.values())
    if combinations > _MOST_COMBINATIONS:
        raise InputError(f"{where}: axes: {combinations:,} combinations; allowed: up to {_MOST_COMBINATIONS:,}")
    for axis, values in axes.items():
        if axis in fixed:
            raise InputError(f"{where}: {axis!r} stands in both axes and set; allowed: one of them")
        for value in values:
            check({axis: value}, f"{where}: axes", "settings")
        if len({shown(value) for value in values}) < len(values):
            raise InputError(f"{where}: axes: {axis}: {shown(values)} holds a value twice")
    for pattern in excluded:
        for key in pattern:
            if key not in axes:
                hint = nearest(str(key), axes)
                raise InputError(f"{where}: exclude: unknown key {key!r}{hint}; allowed: {', '.join(axes)}")


def _name(pattern: str, combination: dict[str, Any], where: str) -> str:
    def word(match: re.Match[str]) -> str:
        if (axis := match[1]) not in combination:
            hint = nearest(axis, combination)
            raise InputError(f"{where}: name: unknown axis {{{axis}}}{hint}; allowed: {', '.join(combination)}")
        return _word(combination[axis])

    return re.sub(r"\{([^{}]*)\}", word, pattern)


def _word(value: Any) -> str:
    """A value as part of a file name: 1280*704 becomes 1280x704."""
    if isinstance(value, list):
        return "-".join(_word(item) for item in value)
    return str(value).replace("*", "x")

"""Which kernels a step and the decoding of a profiled case consist of, and the longest of them."""

from collections.abc import Mapping, Sequence
from typing import Any

from wanbench.analysis.numbers import fixed, plain
from wanbench.registry.kernel_classes import KERNEL_CLASSES
from wanbench.registry.stages import VAE_DECODING
from wanbench.report.cells import compact_table, without_empty

# Of neither stage a share that can be seen.
_LEAST_PCT = 0.05
# Names of templates are long; the table of all of them has the rest.
_MOST_CHARACTERS = 90
_LABELS = KERNEL_CLASSES | {"gaps": "no kernel"}


def kernel_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of a case's rows of the kernels table; empty without any."""
    of_class: dict[str, dict[str, Mapping[str, Any]]] = {key: {} for key in _LABELS}
    for row in rows:
        of_class[row["class"]][row["stage"]] = row
    cells = [
        {"Kernels": _LABELS[key]} | _step(stages.get("Step", {})) | _decoding(stages.get(VAE_DECODING, {}))
        for key, stages in of_class.items()
        if any(row["share_pct"] >= _LEAST_PCT for row in stages.values())
    ]
    return compact_table(without_empty(cells), ("Kernels",)) if cells else ""


def _step(row: Mapping[str, Any]) -> dict[str, str]:
    return {
        "Step (s)": fixed(row.get("time_s"), 3),
        "Step (%)": fixed(row.get("share_pct"), 1),
        "TFLOP/s": fixed(row.get("flops_per_s"), 0, 1e-12),
        "At the rate (s)": fixed(row.get("at_rate_s"), 3),
        "To gain (%)": fixed(gain if (gain := row.get("to_gain_pct")) is None else max(0.0, gain), 1),
    }


def _decoding(row: Mapping[str, Any]) -> dict[str, str]:
    return {"Decoding (s)": fixed(row.get("time_s"), 3), "Decoding (%)": fixed(row.get("share_pct"), 1)}


def longest_kernels(rows: Sequence[Mapping[str, Any]]) -> str:
    """The table of a case's rows of the table of longest kernels; empty without any."""
    cells = [
        {
            "Stage": plain(row["stage"]),
            "Kernel": plain(row["kernel"][:_MOST_CHARACTERS]),
            "Shapes": plain(row["shapes"]),
            "Called by": plain(row["module"]),
            "Time (s)": fixed(row["time_s"], 3),
            "Share (%)": fixed(row["share_pct"], 1),
            "Count": str(row["count"]),
        }
        for row in rows
    ]
    return compact_table(cells, ("Stage", "Kernel", "Shapes", "Called by")) if cells else ""

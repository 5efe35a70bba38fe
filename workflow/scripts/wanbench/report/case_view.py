"""One case in the report: its figures, stages, steps and findings."""

from collections.abc import Sequence
from typing import Any

from wanbench.analysis.breakdown import Row, breakdown
from wanbench.analysis.mfu import mfu_pct
from wanbench.analysis.numbers import fixed, plain
from wanbench.analysis.tables import TableRow, TableRows
from wanbench.registry import settings as registry
from wanbench.registry.kernel_classes import KERNEL_CLASSES
from wanbench.registry.stage_metrics import OF_STAGES
from wanbench.registry.stages import VAE_DECODING
from wanbench.report.render import compact_table, without_empty

# As in the reference report. Beside them stands what most decide by; the stages table has all.
_REFERENCE = ("time_s", "gpu_mem_allocated_bytes", "cpu_pct", "sys_mem_bytes", "sm_activity_pct", "comp_load_pct_s")
_METRICS = {metric.key: metric for metric in OF_STAGES}
_SPREAD = {"Min (s)": "min_s", "Max (s)": "max_s", "First (s)": "first_s"}
# Of neither stage a share that can be seen.
_LEAST_PCT = 0.05
# Names of templates are long; the table of all of them has the rest.
_MOST_CHARACTERS = 90
_LABELS = KERNEL_CLASSES | {"gaps": "no kernel"}
_KERNEL_COLUMNS = {
    "Step (s)": ("Step", "time_s", 3, 1),
    "Step (%)": ("Step", "share_pct", 1, 1),
    "TFLOP/s": ("Step", "flops_per_s", 0, 1e-12),
    "At the rate (s)": ("Step", "at_rate_s", 3, 1),
    "To gain (%)": ("Step", "to_gain_pct", 1, 1),
    "Decoding (s)": (VAE_DECODING, "time_s", 3, 1),
    "Decoding (%)": (VAE_DECODING, "share_pct", 1, 1),
}


def case_view(case: TableRow, stages: TableRows, findings: TableRows, kernels: TableRows) -> dict[str, Any]:
    """What the template of a case shows, from its rows of these tables; texts are Markdown."""
    settings = {key: case[key] for key in registry.keys(registry.METHOD)}
    return {
        "row": case,
        "settings": registry.printed(settings),
        "besides_offload": registry.printed(settings | {"offload": "none"}),
        "stages": _stage_table(breakdown(stages), case),
        "kernels": kernel_table(kernels),
        "findings": findings,
        # The stage that loaded one from a folder.
        "checkpoint": next((stage for stage in stages if stage["checkpoint_bytes"] is not None), None),
        "measured_generations": len({stage["generation"] for stage in stages if stage["measured"]} - {None}),
    }


def _stage_table(rows: Sequence[Row], case: TableRow) -> str:
    """Empty where no stage was reached."""
    with_transfers = any(row.loading_s or row.offloading_s for row in rows)
    keys = (*_REFERENCE, "energy_j", *(("loading_s", "offloading_s") if with_transfers else ()))
    metrics = [_METRICS[key] for key in keys]
    cells = [
        {"Stage": row.stage}
        | {each.label: fixed(getattr(row, each.key), each.decimals, each.scale) for each in metrics}
        | {"MFU (%)": fixed(mfu_pct(row, case), 1)}
        | {name: fixed(getattr(row, key)) for name, key in _SPREAD.items() if case["generations"] > 1}
        | {"Interrupted": "yes" if row.interrupted else ""}
        for row in rows
    ]
    kept = ["Stage", *(_METRICS[key].label for key in _REFERENCE)]
    return compact_table(without_empty(cells, kept), ("Stage",)) if cells else ""


def kernel_table(rows: TableRows) -> str:
    """The table of a case's rows of the kernels table; empty without any."""
    figures = {(row["class"], row["stage"], key): value for row in rows for key, value in row.items()}
    # What is faster than the rate has nothing to gain.
    figures |= {key: max(0.0, value) for key, value in figures.items() if key[2] == "to_gain_pct" and value is not None}
    seen = {row["class"] for row in rows if row["share_pct"] >= _LEAST_PCT}
    cells = [
        {"Kernels": label}
        | {
            name: fixed(figures.get((key, stage, figure)), decimals, scale)
            for name, (stage, figure, decimals, scale) in _KERNEL_COLUMNS.items()
        }
        for key, label in _LABELS.items()
        if key in seen
    ]
    return compact_table(without_empty(cells), ("Kernels",)) if cells else ""


def longest_kernels(rows: TableRows) -> str:
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

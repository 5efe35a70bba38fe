"""Which settings to use: a table for each workload, of one row a way to make the video."""

from collections.abc import Mapping
from typing import Any

import pandas as pd
from jinja2.environment import TemplateModule

from wanbench.analysis.numbers import fixed, gb, plain
from wanbench.registry.metrics import WORKLOAD
from wanbench.report.cells import compact_table, decibels, percent, spread_of, supported, without_empty
from wanbench.report.render import macros_of

_TEXT_COLUMNS = ("Settings", "Best at", "Cases")


def settings_tables(settings: pd.DataFrame, alike_pct: float, currency: str | None) -> dict[str, str]:
    """Markdown tables by what they are of."""
    cells, tables = macros_of("cells.md.j2"), {}
    for _, rows in settings.groupby(list(WORKLOAD), dropna=False, sort=False):
        ways = [_row(way, cells, alike_pct, currency) for way in rows.to_dict("records")]
        heading = cells.workload(rows.iloc[0].to_dict(), settings["gpu_name"].nunique() > 1)
        tables[heading] = compact_table(without_empty(ways), _TEXT_COLUMNS)
    return tables


def _row(way: Mapping[str, Any], cells: TemplateModule, alike_pct: float, currency: str | None) -> dict[str, str]:
    spread = spread_of(way, alike_pct)
    return {
        "Settings": cells.named(way),
        "Best at": cells.best_at(way),
        "Time (s)": supported(way["time_s"], spread),
        "±": f"{100 * spread:.1f} %" if way["n"] > 1 else "",
        "Latents off (%)": percent(way["latent_error_rel"]),
        "PSNR (dB)": decibels(way["psnr_db"]),
        "SSIM": fixed(way["ssim"], 3),
        "Used (GB)": gb(way["gpu_mem_used_bytes"]),
        "Energy (Wh)": fixed(way["energy_j"], 1, 1 / 3600),
        f"Cost ({plain(currency)})" if currency else "Cost": fixed(way["cost"]),
        "CO2 (g)": fixed(way["co2_g"], 0),
        "Allocated (GB)": gb(way["gpu_mem_allocated_bytes"]),
        "Host (GB)": gb(way["host_mem_bytes"]),
        "s/step": supported(way["step_s"], spread),
        "Decoding (s)": supported(way["vae_computing_s"], spread),
        "Compiling (s)": fixed(way["compilation_s"], 0),
        "Videos/h": supported(way["videos_per_hour"], spread),
        "Cases": cells.cases(way),
    }

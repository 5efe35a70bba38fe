"""All that a report says, made from the tables: the Markdown report and the page are templates that show it."""

from types import SimpleNamespace
from typing import Any

import pandas as pd

from wanbench.analysis.answer import answers_of
from wanbench.analysis.numbers import plain
from wanbench.analysis.settings_table import Prices
from wanbench.analysis.tables import records, records_by_case
from wanbench.findings.rules import EXPLANATIONS
from wanbench.registry.metrics import WORKLOAD
from wanbench.registry.stages import OK
from wanbench.report.about import about
from wanbench.report.answer_table import answer_rows
from wanbench.report.case_view import case_view
from wanbench.report.grid_outcome import cases_by_outcome
from wanbench.report.published import published_table


def view_of(
    cases: pd.DataFrame,
    stages: pd.DataFrame,
    excluded: pd.DataFrame,
    settings: pd.DataFrame,
    findings: pd.DataFrame,
    thresholds: SimpleNamespace,
    prices: Prices,
    published: pd.DataFrame,
    kernels: pd.DataFrame,
) -> dict[str, Any]:
    """What the templates show, by name; texts are Markdown, empty where there is nothing to tell.

    Args:
        thresholds: those that the findings were made with.
        published: what `read_published` gives.
        cases and the rest: the tables of these names, as docs/tables.md has them.
    """
    alike_pct, of_cases = thresholds.alike_generation_pct, [*map(records_by_case, (stages, findings, kernels))]
    kinds = settings["gpu_name"].nunique()
    answers = answers_of(settings, alike_pct, thresholds.no_effect_memory_pct)
    outcome = cases_by_outcome(cases, findings)
    begun = pd.to_datetime(cases["started_at"], format="ISO8601", utc=True)
    ended = begun + pd.to_timedelta(cases["total_duration_s"].astype(float), unit="s")
    return {
        "outcome": outcome,
        "all_ok": len(outcome[OK]) == len(cases) > 0 and not outcome["with_failed_checks"],
        "excluded": {plain(item.case): plain(item.reason) for item in excluded.itertuples()},
        # Where all workloads ran on one kind.
        "gpu": plain(settings["gpu_name"].iloc[0]) if kinds == 1 else "",
        "kinds": kinds,
        "answer": answer_rows(answers, alike_pct, prices.currency),
        "alike_pct": alike_pct,
        "prices": prices,
        # Rows by workload.
        "settings": [rows.to_dict("records") for _, rows in settings.groupby(list(WORKLOAD), dropna=False, sort=False)],
        "published": published_table(settings, published, alike_pct),
        "cases": [case_view(row, *(rows.get(row["case"], []) for rows in of_cases)) for row in records(cases)],
        "begun": begun.min(),
        "ended": ended.max(),
        # Each case measures its own at its end, on its warm GPU.
        "matrix_rates": cases["matmul_flops_per_s"].dropna(),
        "facts": about(cases),
        "notes": {name for name, holds in _notes(cases).items() if holds},
        "rules": {rule: text for rule, text in EXPLANATIONS.items() if rule in set(findings["rule"])},
    }


def _notes(cases: pd.DataFrame) -> dict[str, bool]:
    """Whether what a note is about occurs in the report."""
    random, by_gpm = cases["weights"] == "random", cases["sm_activity_source"] == "gpm_sm_utilisation"
    return {
        "random weights": random.any(),
        "compared": cases[["latent_error_rel", "psnr_db"]].notna().any(axis=None),
        "cache at random": (random & (cases["cache"] != "none")).any(),
        "tiny": (cases["scale"] == "tiny").any(),
        "cpu": (cases["device"] == "cpu").any(),
        "no gpm": (cases["sm_activity_source"] == "nvml_gpu_utilisation").any(),
        "rough gpm": (by_gpm & ~cases["gpm_counter_refresh_found"].fillna(False)).any(),
        "several gpus": cases["gpu_uuid"].nunique() > 1,
        "unofficial size": cases["unofficial_size"].fillna(False).any(),
    }

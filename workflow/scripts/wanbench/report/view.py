"""All that a report says, made from the tables: the Markdown report and the page are templates that show it."""

from collections.abc import Mapping, Sequence
from types import SimpleNamespace
from typing import Any

import pandas as pd

from wanbench.analysis.answer import USEFUL, Answer, answers_of
from wanbench.analysis.mfu import peak_of
from wanbench.analysis.numbers import plain, some
from wanbench.analysis.settings_table import Prices
from wanbench.analysis.tables import records, records_by_case
from wanbench.findings.rules import EXPLANATIONS
from wanbench.registry.metrics import WORKLOAD
from wanbench.registry.stages import OK
from wanbench.report.case_view import case_view
from wanbench.report.grid_outcome import cases_by_outcome
from wanbench.report.published import published_pairs, read_published
from wanbench.report.render import ENVIRONMENT, rendered, without_empty


def view_of(tables: Mapping[str, pd.DataFrame], thresholds: SimpleNamespace, prices: Prices) -> dict[str, Any]:
    """What the templates show, by name; texts are Markdown, empty where there is nothing to tell.

    Args:
        tables: by name, as docs/tables.md has them: cases, stages, excluded, settings, findings and kernels.
        thresholds: those that the findings were made with.
    """
    cases, settings, alike_pct = tables["cases"], tables["settings"], thresholds.alike_generation_pct
    of_cases = [records_by_case(tables[name]) for name in ("stages", "findings", "kernels")]
    answers, kinds = answers_of(settings, alike_pct, thresholds.no_effect_memory_pct), settings["gpu_name"].nunique()
    outcome = cases_by_outcome(cases, tables["findings"])
    begun = pd.to_datetime(cases["started_at"], format="ISO8601", utc=True)
    ended = begun + pd.to_timedelta(cases["total_duration_s"].astype(float), unit="s")
    return {
        "outcome": outcome,
        "all_ok": len(outcome[OK]) == len(cases) > 0 and not outcome["with_failed_checks"],
        "excluded": {plain(item.case): plain(item.reason) for item in tables["excluded"].itertuples()},
        # Where all workloads ran on one kind.
        "gpu": plain(settings["gpu_name"].iloc[0]) if kinds == 1 else "",
        "kinds": kinds,
        "answer": _answer_rows(answers, kinds > 1, alike_pct, prices.currency),
        "alike_pct": alike_pct,
        "prices": prices,
        # Rows by workload.
        "settings": [rows.to_dict("records") for _, rows in settings.groupby(list(WORKLOAD), dropna=False, sort=False)],
        "published": published_pairs(settings, read_published()),
        "cases": [case_view(row, *(rows.get(row["case"], []) for rows in of_cases)) for row in records(cases)],
        "begun": begun.min(),
        "ended": ended.max(),
        # Each case measures its own at its end, on its warm GPU.
        "matrix_rates": cases["matmul_flops_per_s"].dropna(),
        "facts": _facts(cases),
        "notes": {name for name, holds in _notes(cases).items() if holds},
        "rules": {rule: text for rule, text in EXPLANATIONS.items() if rule in set(tables["findings"]["rule"])},
    }


def _answer_rows(
    answers: Sequence[Answer], with_gpu: bool, alike_pct: float, currency: str | None
) -> list[dict[str, str]]:
    """A row for each workload; cells are empty where nothing was measured."""
    cells = ENVIRONMENT.get_template("cells.md.j2").make_module({"alike_pct": alike_pct, "currency": currency})
    rows = [
        {
            "To make": cells.workload(answer["workload"], with_gpu),
            "Fastest": cells.fastest(answer),
            "Faster, but changes the video": cells.settings(answer["lossy"]),
            f"Least memory, {100 * (USEFUL - 1):.0f} % slower at most": cells.light(answer),
            **{f"In {size} GB": cells.card(answer, fit) for size, fit in answer["cards"].items()},
            "On several GPUs": cells.settings(answer["several"]),
        }
        for answer in answers
    ]
    return without_empty([{label: str(text).strip() for label, text in row.items()} for row in rows], kept=["To make"])


def _facts(cases: pd.DataFrame) -> dict[str, str]:
    """What the cases ran on and with, by name; where they differ, every variant with the number of its cases."""
    # Lines of the template by what stands before their colon; None where nothing follows it.
    texts = [rendered("facts.md.j2", case=case, peak=peak_of(case)) for case in records(cases)]
    lines = [[line.partition(":") for line in text.splitlines() if line] for text in texts]
    facts = pd.DataFrame([{name: fact.strip() or None for name, _, fact in of_case} for of_case in lines], dtype=object)
    return {name: _variants(facts[name]) for name in facts if facts[name].notna().any()}


def _variants(texts: pd.Series) -> str:
    counts = texts.value_counts()
    if len(counts) == 1 and texts.notna().all():
        return counts.index[0]
    return some([f"{text} ({count} case{'s' if count > 1 else ''})" for text, count in counts.items()], "; ")


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

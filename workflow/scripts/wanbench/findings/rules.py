"""All rules, and what they find in the cases of a report, as a table."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace

import pandas as pd
from jinja2 import DictLoader, Environment, StrictUndefined

from wanbench.analysis.breakdown import breakdown
from wanbench.analysis.kernels import with_best_attention
from wanbench.analysis.numbers import FILTERS
from wanbench.analysis.one_factor_pairs import one_factor_pairs
from wanbench.analysis.tables import records, records_by_case
from wanbench.cases.yaml_file import read_yaml
from wanbench.findings import kernel_time, resource_limits, setting_effects, slow_machine, time_use, trust
from wanbench.findings.basis import SEVERITIES, Context, Found
from wanbench.registry.metrics import FINDING_COLUMNS
from wanbench.registry.stages import OOM

_OF_ALL_CASES = (*trust.RULES, *slow_machine.RULES, *resource_limits.RULES)
# In the order of the report within a severity.
RULES: dict[str, Callable[[Context], Iterator[Found]]] = {
    rule.__name__: rule for rule in (*_OF_ALL_CASES, *time_use.RULES, *kernel_time.RULES, *setting_effects.RULES)
}
_TEXTS = read_yaml(Path(__file__).with_name("texts.yaml"))
_TEMPLATES = {"say": _TEXTS.pop("say")} | {
    f"{rule} {part}": '{% import "say" as say with context %}' + text
    for rule, parts in _TEXTS.items()
    for part, text in parts.items()
}
# What each rule means and when it fires, with the names of its thresholds.
EXPLANATIONS = {rule: _TEXTS[rule]["explanation"] for rule in RULES}
_ENVIRONMENT = Environment(loader=DictLoader(_TEMPLATES), undefined=StrictUndefined, trim_blocks=True)
_ENVIRONMENT.filters |= FILTERS | {
    "pct": lambda share_pct, decimals=0: f"{share_pct:.{decimals}f} %",
    "code": lambda settings: " and ".join(f"`{setting}`" for setting in settings),
    "capitalized": lambda text: text[0].upper() + text[1:],
}


def findings_table(
    cases: pd.DataFrame, stages: pd.DataFrame, thresholds: SimpleNamespace, kernels: pd.DataFrame
) -> pd.DataFrame:
    """One row for each finding of each case, the gravest of a case first; columns: docs/tables.md.

    `evidence` and `advised` are JSON, as in `Found`; `text` says what was found, and `advice`, which may be empty, what
    to do.
    """
    stages_of, pairs_of = records_by_case(stages), records_by_case(one_factor_pairs(cases))
    kernels_of = records_by_case(with_best_attention(kernels, cases))
    rows = []
    # A case that may use a part of its GPU's memory is judged by that part.
    own_bytes = cases[["gpu_mem_total_bytes"]].assign(limit=cases["gpu_memory_gb"] * 1e9).min(axis=1)
    own_bytes = own_bytes.where(cases["gpu_mem_total_bytes"].notna())
    for case in records(cases.assign(gpu_mem_total_bytes=own_bytes)):
        of_case, pairs, profiled = (of.get(case["case"], []) for of in (stages_of, pairs_of, kernels_of))
        rows += _findings(Context(case, breakdown(of_case), of_case, pairs, thresholds, profiled))
    return pd.DataFrame(rows, columns=list(FINDING_COLUMNS)).astype(FINDING_COLUMNS)


def _findings(context: Context) -> list[dict[str, str]]:
    rules = RULES.items()
    if context.case["status"] == OOM:
        # What would make a case faster is of no use to one that does not fit.
        rules = [(name, rule) for name, rule in rules if rule in _OF_ALL_CASES]
    elif context.case["gpus"] > 1:
        rules = [(name, rule) for name, rule in rules if rule not in time_use.OF_ONE_GPU]
    rows = [_row(name, found, context) for name, rule in rules for found in rule(context)]
    return sorted(rows, key=lambda row: SEVERITIES.index(row["severity"]))


def _row(rule: str, found: Found, context: Context) -> dict[str, str]:
    figures = {"of": context, "case": context.case, "found": found, **found.evidence, **found.said}
    row = {"case": context.case["case"], "rule": rule, "severity": found.severity}
    row |= {key: json.dumps(getattr(found, key)) for key in ("evidence", "advised")}
    for part in ("text", "advice"):
        row[part] = " ".join(_ENVIRONMENT.get_template(f"{rule} {part}").render(figures).split())
    return row

"""Whatever is advised can be done: the grid takes it, it is a change, and it lowers the peak where that is its aim."""

from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from itertools import combinations
from types import SimpleNamespace
from typing import Any

import pytest
import yaml

from conftest import ROOT
from reports import THRESHOLDS, found_in, recorded
from wanbench.analysis.kernels import kernels_table
from wanbench.analysis.tables import tables_of
from wanbench.cases.case import Case
from wanbench.cases.resolve import resolve_cases
from wanbench.estimate.memory import estimated_peak_bytes
from wanbench.findings.rules import findings_table
from wanbench.trace.reader import Trace

# One of each kind of settings.
NAMES = (
    "5B_704p_cudnn_compiled",
    "5B_704p_vae_tiling",
    "T2V_A14B_720p",
    "T2V_A14B_480p_offload",
    "T2V_A14B_480p_offload_compiled",
)
SIZES_GB = (20, 34, 85, 150)
# What a grid file does not say.
DERIVED = ("name", "image_sha256", "checkpoint_sha256")
OTHERS = {"attention": ("native", "_native_cudnn")}


def variants(trace: Trace, size_gb: int) -> Iterator[Trace]:
    """The trace on a GPU with so much memory, as it ended, and as if its weights had moved or had not fitted."""
    gpu = trace.environment["gpu"] | {"mem_total_bytes": size_gb * 10**9}
    environment = trace.environment | {"gpu": gpu, "sys_mem_total_bytes": 10**9}
    own = replace(trace, environment=environment)
    yield own
    yield replace(own, status="oom", error={"type": "OutOfMemoryError", "message": "CUDA out of memory"})
    for settings in (
        {"compile": "repeated_blocks", "offload": "model", "vae_dtype": "float16"},
        {"compile": "repeated_blocks", "offload": "model", "vae_dtype": "float32", "vae_tiling": False},
        {"compile": "none", "offload": "model", "vae_dtype": "float32", "vae_tiling": False},
        {"offload": "sequential", "vae_tiling": True, "compile": "none"},
        {"offload": "group_stream", "dtype": "float32", "attention": "_native_cudnn", "compile": "none"},
    ):
        loading = ({"loading_s": 0.9 * stage.measures["time_s"]} for stage in trace.stages)
        moved = [replace(stage, measures=stage.measures | more) for stage, more in zip(trace.stages, loading)]
        applied = (trace.applied or {}) | {key: value for key, value in settings.items() if key in trace.applied or {}}
        yield replace(own, case=trace.case | settings, applied=applied, stages=moved)


@cache
def advice_on(name: str) -> list[tuple[int, Trace, SimpleNamespace, tuple[str, ...]]]:
    """Each advice on each variant of a kept case, with the size of the GPU in GB."""
    every = [(size_gb, variant) for size_gb in SIZES_GB for variant in variants(recorded(name), size_gb)]
    tables = tables_of([replace(variant, case=variant.case | {"name": str(i)}) for i, (_, variant) in enumerate(every)])
    stages = dict(list(tables.stages.groupby("case")))
    found = []
    for i, (size_gb, variant) in enumerate(every):
        # Each alone: none is a case to choose beside another.
        alone = tables.cases[tables.cases["case"] == str(i)].reset_index(drop=True)
        of_case = found_in(findings_table(alone, stages[str(i)], THRESHOLDS, kernels_table([]))).get(str(i), [])
        found += [(size_gb, variant, finding, settings) for finding in of_case for settings in finding.advised]
    return found


def changed(case: dict[str, Any], settings: tuple[str, ...]) -> dict[str, Any]:
    """The case with what is advised, each setting checked to be another one than it has."""
    changes: dict[str, Any] = {}
    for setting in settings:
        parsed = yaml.safe_load(setting)
        if isinstance(parsed, str):
            parsed = {parsed: next(value for value in OTHERS[parsed] if value != case[parsed])}
        changes |= parsed
    assert all(case[key] != value for key, value in changes.items()), settings
    return case | changes


def parts(settings: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Each smaller choice of the settings that could stand alone: a change of offload is a part of all or of none."""
    offload = [setting for setting in settings if setting.startswith("offload: ")]
    others = [setting for setting in settings if setting not in (*offload, "compile: none")]
    needed = [setting for setting in settings if setting not in others]
    for count in range(len(others)):
        for chosen in combinations(others, count):
            if chosen or needed:
                yield (*needed, *chosen)


def resolved(case: dict[str, Any]) -> Case:
    settings = {key: value for key, value in case.items() if key not in DERIVED and value is not None}
    if len(settings["guidance"]) == 1:
        (settings["guidance"],) = settings["guidance"]
    if case["cache"] == "none":
        settings.pop("cache_threshold", None)
    (found,) = resolve_cases({"cases": {"advised": settings}}, "advice.yaml")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_advice_is_possible_for_that_very_case(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    for size_gb, variant, finding, settings in advice_on(name):
        after = resolved(changed(variant.case, settings))
        if finding.rule in ("vram_margin", "out_of_memory"):
            before = estimated_peak_bytes(Case.from_settings(variant.case))
            assert estimated_peak_bytes(after) < before, (finding.rule, settings)
        if variant.status == "oom":
            assert finding.rule == "out_of_memory"
        if "offload: none" in settings or finding.rule == "out_of_memory":
            most_bytes = 0.9 * size_gb * 10**9
            assert estimated_peak_bytes(after) <= most_bytes, finding.sentences
            for part in parts(settings):
                smaller = Case.from_settings(changed(variant.case, part))
                assert estimated_peak_bytes(smaller) > most_bytes, (finding.rule, settings, part)


def test_the_kept_traces_give_advice_of_every_kind() -> None:
    """Else the test above would hold for want of advice."""
    given = {(finding.rule, settings) for name in NAMES for *_, finding, settings in advice_on(name)}
    assert ("transfer_bound", ("offload: none",)) in given
    assert ("transfer_bound", ("offload: group_stream", "compile: none")) in given
    assert ("transfer_bound", ("offload: none", "vae_dtype: bfloat16")) in given
    assert ("vram_margin", ("offload: group_stream",)) in given
    assert ("vram_margin", ("compile: repeated_blocks",)) in given
    assert ("out_of_memory", ("compile: repeated_blocks", "vae_tiling: true")) in given
    assert {rule for rule, _ in given} >= {"out_of_memory", "host_memory_margin", "kernel_bound"}

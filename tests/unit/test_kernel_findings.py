"""Findings and the table of profiled cases, from profiles and traces recorded on H200s."""

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from conftest import ROOT
from reports import THRESHOLDS, found_in, view
from wanbench.analysis.kernels import kernels_table, longest_kernels_table, read_profile
from wanbench.analysis.tables import records_by_case, tables_of
from wanbench.findings import kernel_time
from wanbench.findings.rules import findings_table
from wanbench.plots.bars import kernel_bars
from wanbench.report.case_view import kernel_table
from wanbench.report.page import to_page
from wanbench.trace.kernel_profile import Kernel, stage_profile
from wanbench.trace.reader import read_trace

REFERENCE = ROOT / "results/reference/h200"
NAMES = ("5B_704p_stock", "5B_704p_compiled", "5B_704p_fastest")


@pytest.fixture(scope="module")
def kernels() -> pd.DataFrame:
    return kernels_table((name, read_profile(REFERENCE / f"kernels/{name}.json.gz")) for name in NAMES)


@pytest.fixture(scope="module")
def found(kernels: pd.DataFrame) -> dict[str, dict[str, SimpleNamespace]]:
    tables = tables_of(read_trace(REFERENCE / f"traces/{name}.json.gz") for name in NAMES)
    of_all = found_in(findings_table(tables.cases, tables.stages, THRESHOLDS, kernels))
    return {case: {finding.rule: finding for finding in findings} for case, findings in of_all.items()}


def test_attention_below_another_kernels_is_found(found: dict[str, dict[str, SimpleNamespace]]) -> None:
    slow = found["5B_704p_compiled"]["slow_attention"]
    # 0.997 s at 561 TFLOP/s, where FlashAttention-3 reached 678.
    assert slow.evidence["saved_s"] == pytest.approx(0.173, abs=0.002)
    assert "561 TFLOP/s" in slow.text
    assert "678 in case 5B_704p_fastest" in slow.text
    assert slow.advised == (("attention: xformers",),)
    assert "slow_attention" not in found["5B_704p_fastest"]


def test_rows_that_are_all_equal_are_found(found: dict[str, dict[str, SimpleNamespace]]) -> None:
    assert found["5B_704p_stock"]["equal_rows"].evidence["time_s"] == pytest.approx(0.023, abs=0.001)
    assert found["5B_704p_stock"]["equal_rows"].advised == (("timesteps: uniform",),)
    assert "equal_rows" not in found["5B_704p_fastest"]


def test_copies_that_another_layout_saves_are_found(found: dict[str, dict[str, SimpleNamespace]]) -> None:
    copies = found["5B_704p_stock"]["copies"]
    assert copies.evidence["share_pct"] == pytest.approx(21.9, abs=0.1)
    assert copies.advised == (("vae_memory_format: channels_last",),)
    assert "copies" not in found["5B_704p_fastest"]


def launch_gaps(profile: dict[str, Any], **settings: str) -> list[SimpleNamespace]:
    """What is found in the stock case, had it such a profile and such settings."""
    tables = tables_of([read_trace(REFERENCE / "traces/5B_704p_stock.json.gz")])
    cases = tables.cases.assign(**settings)
    table = findings_table(cases, tables.stages, THRESHOLDS, kernels_table([("5B_704p_stock", profile)]))
    return found_in(table[table["rule"] == "launch_gaps"]).get("5B_704p_stock", [])


def test_a_gpu_that_waits_for_launches_is_found() -> None:
    """A tenth of a step of 1 s, of which the profiler added 0.02 s."""
    kernels = [Kernel("nvjet_sm90_tst_a", start, start + 0.88e6 / 400, 7) for start in np.linspace(0, 0.9978e6, 400)]
    step = stage_profile(kernels, profiled_s=1.0, unprofiled_s=0.98, flops={})
    assert step["gap_s"] == pytest.approx(0.12, abs=0.001)
    profile = read_profile(REFERENCE / "kernels/5B_704p_stock.json.gz")
    profile["stages"]["Step"] = step
    (found,) = launch_gaps(profile)
    assert found.evidence["idle_s"] == pytest.approx(0.1, abs=0.001)
    assert found.evidence["idle_pct"] == pytest.approx(10.2, abs=0.1)
    assert found.evidence["kernels"] == 400
    assert found.advised == (("compile: repeated_blocks",),)
    assert len(re.findall(r"\.(?= |$)", found.sentences)) == 2
    (compiled,) = launch_gaps(profile, compile="repeated_blocks")
    assert compiled.advised == ()
    # It waits for weights then; a CPU has operators, and time between them.
    assert launch_gaps(profile, offload="model") == launch_gaps(profile, device="cpu") == []


def test_kernels_that_follow_each_other_have_no_gaps_to_tell_of() -> None:
    assert launch_gaps(read_profile(REFERENCE / "kernels/5B_704p_stock.json.gz")) == []


def test_a_case_without_a_profile_has_no_finding_of_kernels_and_no_table(kernels: pd.DataFrame) -> None:
    tables = tables_of([read_trace(REFERENCE / "traces/5B_704p_stock.json.gz")])
    found = findings_table(tables.cases, tables.stages, THRESHOLDS, kernels_table([]))
    assert not {rule.__name__ for rule in kernel_time.RULES} & set(found["rule"])
    assert kernel_table([]) == ""


def test_the_picture_has_a_bar_of_shares_for_the_step_and_one_for_the_decoding(kernels: pd.DataFrame) -> None:
    case = {"case": "5B_704p_stock", "status": "ok", "stage_reached": None}
    picture = kernel_bars(case, records_by_case(kernels)["5B_704p_stock"])
    (axes,) = picture.figure.axes
    ends = [max(bar.get_x() + bar.get_width() for bar in axes.patches if round(bar.get_y() + 0.3) == y) for y in (0, 1)]
    assert ends == pytest.approx([100, 100], abs=0.5)
    assert "Step attention 41 %" in picture.words
    assert "VAE_Decoding convolutions 56 %" in picture.words
    assert kernel_bars(case, []) is None


def test_the_page_folds_the_longest_kernels_and_takes_no_markup_from_their_names() -> None:
    rows = longest_kernels_table([(NAMES[0], read_profile(REFERENCE / f"kernels/{NAMES[0]}.json.gz"))]).to_dict(
        "records"
    )
    rows[0] |= {"kernel": "void <script>alert(1)</script>", "module": None}
    trace = read_trace(REFERENCE / f"traces/{NAMES[0]}.json.gz")
    folded = to_page(view(trace), {}, {NAMES[0]: rows}).split("<details>")[-1].split("</details>")[0]
    assert folded.count("<tr>") == 21
    assert "blocks.N.ffn.net.N.proj" in folded
    assert "<script>" not in folded
    assert "&lt;script&gt;" in folded
    assert "The longest kernels" not in to_page(view(trace), {})


def test_the_table_says_what_a_class_takes_and_what_it_would_at_the_rate(kernels: pd.DataFrame) -> None:
    lines = kernel_table(records_by_case(kernels)["5B_704p_compiled"]).splitlines()
    cells = {line.split("|")[1].strip(): [cell.strip() for cell in line.split("|")[2:-1]] for line in lines}
    heads = cells["Kernels"]
    attention = dict(zip(heads, cells["attention"]))
    assert attention["Step (s)"] == "0.997"
    assert attention["TFLOP/s"] == "561"
    assert float(attention["At the rate (s)"]) < 0.997
    assert float(attention["To gain (%)"]) > 5
    assert dict(zip(heads, cells["convolutions"]))["Decoding (s)"] == "5.159"
    # Of nothing else are products faster than the rate, and there is nothing to gain then.
    assert dict(zip(heads, cells["matrix products, 16 bits"]))["To gain (%)"] == "0.0"

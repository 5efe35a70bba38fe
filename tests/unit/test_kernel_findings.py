"""Findings and the table of profiled cases, from profiles and traces recorded on H200s."""

import re
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from conftest import ROOT
from reports import THRESHOLDS, found_in, kept, made_tables, rules, view
from wanbench.analysis.kernels import kernels_table, longest_kernels_table, read_profile
from wanbench.analysis.tables import records_by_case
from wanbench.findings import kernel_time
from wanbench.findings.rules import findings_table
from wanbench.report.case_view import kernel_table
from wanbench.report.page import to_page
from wanbench.trace.kernel_profile import Kernel, stage_profile

REFERENCE = ROOT / "results/reference/h200"
NAMES = ("5B_704p_stock", "5B_704p_compiled", "5B_704p_fastest")


@pytest.fixture(scope="module")
def kernels() -> pd.DataFrame:
    return kernels_table((name, read_profile(REFERENCE / f"kernels/{name}.json.gz")) for name in NAMES)


@pytest.fixture(scope="module")
def found(kernels: pd.DataFrame) -> dict[str, dict[str, SimpleNamespace]]:
    tables = made_tables(*map(kept, NAMES))
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
    tables = made_tables(kept("5B_704p_stock"))
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
    assert not {rule.__name__ for rule in kernel_time.RULES} & rules(kept("5B_704p_stock")).keys()
    assert kernel_table([]) == ""
    assert longest_kernels_table([]).empty


def test_the_page_folds_the_longest_kernels_and_takes_no_markup_from_their_names() -> None:
    rows = longest_kernels_table([(NAMES[0], read_profile(REFERENCE / f"kernels/{NAMES[0]}.json.gz"))]).to_dict(
        "records"
    )
    rows[0] |= {"kernel": "void <script>alert(1)</script>", "module": None}
    trace = kept(NAMES[0])
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
    table = kernels.set_index(["case", "stage", "class"]).sort_index()
    assert table.loc[("5B_704p_fastest", "Step", "attention"), "to_gain_pct"] < 5
    # There is no rate of products in float32, nor of a VAE in float32.
    assert pd.isna(table.loc[("5B_704p_stock", "Step", "matmul_float32"), "at_rate_s"])
    assert table.loc[("5B_704p_stock", "VAE_Decoding"), "at_rate_s"].isna().all()

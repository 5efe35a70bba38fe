"""Findings and the table of profiled cases, from profiles and traces recorded on H200s."""

import pandas as pd
import pytest

from conftest import ROOT
from reports import kept, rules, view
from wanbench.analysis.kernels import kernels_table, longest_kernels_table, read_profile
from wanbench.findings import kernel_time
from wanbench.report.case_view import kernel_table
from wanbench.report.page import to_page

REFERENCE = ROOT / "results/reference/h200"
NAMES = ("5B_704p_stock", "5B_704p_compiled", "5B_704p_fastest")


@pytest.fixture(scope="module")
def kernels() -> pd.DataFrame:
    return kernels_table((name, read_profile(REFERENCE / f"kernels/{name}.json.gz")) for name in NAMES)


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

"""The soak in its short form: each kind of process killed once, at moments that differ from test to test."""

import random
from collections.abc import Callable

from conftest import Project
from soak import KINDS, Soak, case_of, trace_of


def test_whatever_is_killed_one_plain_run_completes_the_grid(new_project: Callable[[], Project]) -> None:
    seed = random.randrange(2**31)
    print("seed:", seed)
    # No process is over so soon, though the machine be quick and idle.
    soak = Soak(new_project(), random.Random(seed), life_s=2.0)
    soak.round()
    assert soak.kills.total() >= len(KINDS) - 1
    # Pictures and page, too, are for the long form.
    soak.complete(*(trace_of(case_of(kind)) for kind in KINDS), "results/report.md")

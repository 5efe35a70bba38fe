"""The benchmark that needs a GPU, as far as it runs without one: so that it does when there is one."""

from importlib import import_module

import pytest

from conftest import ROOT


def test_the_cost_of_sampling_is_measured(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture) -> None:
    monkeypatch.syspath_prepend(str(ROOT / "tests/benchmarks"))
    benchmark = import_module("sampling_cost")
    benchmark.main(rounds=2, steps=1, scale="tiny")
    shown = capfd.readouterr().out
    assert "TI2V-5B 64*64 x 5, 1 steps, 2 rounds, cpu" in shown
    assert shown.count("against plain, paired") == 2
    full = benchmark.case_of(4, "full")
    assert (full.size, full.frames, full.steps, full.offload) == ("1280*704", 121, 4, "none")

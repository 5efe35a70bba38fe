"""The benchmarks that need a GPU, as far as they run without one: so that they do when there is one."""

import runpy
import sys
from importlib import import_module
from pathlib import Path

import pytest

from conftest import ROOT
from example_cases import tiny_case
from fake_nvml import H200, FakeNvml
from tiny import make
from wanbench.telemetry.gpm_clock import CounterRefreshes
from wanbench.telemetry.samples import Samples

BENCHMARKS = ROOT / "tests/benchmarks"
S = 1_000_000_000


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))


@pytest.mark.parametrize("name", ["sampling_cost", "sm_activity", "gpm_probe", "loading"])
def test_each_says_what_it_takes(name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setattr(sys, "argv", [f"{name}.py", "--help"])
    with pytest.raises(SystemExit, match="0"):
        runpy.run_path(str(BENCHMARKS / f"{name}.py"), run_name="__main__")
    assert capsys.readouterr().out.startswith(f"usage: {name}.py")


def test_the_cost_of_sampling_is_measured(capfd: pytest.CaptureFixture) -> None:
    import_module("sampling_cost").main(rounds=2, steps=1, scale="tiny")
    shown = capfd.readouterr().out
    assert "TI2V-5B 64*64 x 5, 1 steps, 2 rounds, cpu" in shown
    assert shown.count("against plain, paired") == 2
    full = import_module("sampling_cost").case_of(4, "full")
    assert (full.size, full.frames, full.steps, full.offload) == ("1280*704", 121, 4, "none")


def test_slices_of_a_known_load_are_compared(capsys: pytest.CaptureFixture) -> None:
    load = [{"sm_activity_pct": 50.0}] * 30
    samples = Samples([i * S // 10 for i in range(30)], load, 0.105, 0, {"sm_activity_source": "nvml_gpu_utilisation"})
    import_module("sm_activity").print_slices(samples, [(0.5, (0, 2 * S), [(0, S)])])
    assert "asked  50.0 %: busy  50.00 %, SM Act  50.00 %, difference +0.00" in capsys.readouterr().out


def test_counter_refreshes_that_two_loads_found_are_compared(capsys: pytest.CaptureFixture) -> None:
    sm_activity, first = import_module("sm_activity"), CounterRefreshes(0, 18_000_000)
    sm_activity.print_agreement(first, CounterRefreshes(12 * S - 3_000_000, 10_000_000))
    sm_activity.print_agreement(first, None)
    two, one = capsys.readouterr().out.splitlines()
    assert two == "counter refreshes found by two loads, 12 s apart, differ by -3 ms"
    assert one.endswith("found by 1 of 2 loads")


def test_driver_refreshes_are_probed(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    probe = import_module("gpm_probe")
    nvml = FakeNvml((H200,))
    nvml.driver_period_s = 0.1001
    monkeypatch.setattr(probe, "initialised_nvml", lambda: nvml)
    monkeypatch.setattr(probe, "EVERY_S", 2.5)
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    probe.main(seconds=7.5, tries=1)
    shown = capsys.readouterr().out
    assert "20 ms apart: " in shown
    assert "period 100." in shown
    probe.print_grid([n * 20 * 100_100_000 for n in range(9)], [2_000_000 + n * 19 * 100_100_000 for n in range(9)])
    shown = capsys.readouterr().out
    assert "period 100.1000 ms, drift +1.00 ms/s\n9 instants, off the grid by up to 0.0 ms" in shown
    assert "probes found: -2.0 ms apart\n    at most 2.0 ms" in shown


def test_the_parts_of_loading_are_timed(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    make(tiny_case(), tmp_path).save_pretrained(tmp_path / "checkpoint")
    import_module("loading").main(tmp_path / "checkpoint", rounds=1)
    shown = capsys.readouterr().out
    for name in ("text_encoder", "transformer", "vae", "all"):
        line = next(line for line in shown.splitlines() if line.startswith(f"  {name}, "))
        assert all(f"{part} " in line for part in ("read", "host copy", "device copy", "initialise"))
    assert "of the device copy" in shown

"""Eight processes of one case, on the CPU through gloo: `python -m pytest -n 0 tests/benchmarks`, four minutes on two
cores. Not in the suite, whose tests in unit/test_ranks.py show the same of two processes.
"""

from pathlib import Path

import numpy as np
import pytest

from attempts import run
from example_cases import tiny_case
from tiny import relative_error, rounding_bound
from unit.test_ranks import FAILING, IN_RANKS, KEPT, in_rank


@pytest.mark.parametrize("model", ["TI2V-5B", "T2V-A14B"])
def test_eight_make_the_video_of_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, model: str) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    frames = {}
    for gpus in (1, 8):
        file = tmp_path / f"{gpus}.npy"
        (tmp_path / "sitecustomize.py").write_text(IN_RANKS + KEPT.format(file=file))
        case = tiny_case(model, gpus=gpus, size="64*64")
        outcome, trace = run(case, tmp_path / str(gpus))
        assert (outcome.status, trace.applied["gpus"]) == ("ok", gpus)
        frames[gpus] = np.load(file)
    assert relative_error(frames[8], frames[1]) <= rounding_bound(case)


def test_one_that_is_out_of_memory_ends_all_and_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "sitecustomize.py").write_text(in_rank(7) + FAILING)
    outcome, _ = run(tiny_case(steps=1000, gpus=8), tmp_path)
    assert (outcome.status, outcome.message) == ("oom", "rank 7: CUDA out of memory. Tried to allocate 2.00 GiB.")

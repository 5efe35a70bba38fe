"""Cases on several GPUs, here several processes on the CPU that talk through gloo: real processes, and their ends."""

import os
import re
import signal
from collections.abc import Callable
from functools import partial
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import torch
from diffusers.models.attention_dispatch import _AttentionBackendRegistry

from attempts import attempt_in, run, signal_to, when_it_measures
from checkpoints import write_hollow_checkpoint
from conftest import ROOT, simulated_work
from example_cases import tiny_case
from tiny import CPU, relative_error, rounding_bound, stock_frames
from wanbench.cases.checks import PARALLEL_ATTENTION
from wanbench.measure.outcome import Outcome
from wanbench.measure.wan.hindrances import SettingError, check_enough_gpus, check_gpu
from wanbench.registry.settings import SETTINGS
from wanbench.util.code_closure import NOT_MEASURED, closure
from wanbench.util.errors import InputError

CUDA = torch.device("cuda")
SCRIPTS = ROOT / "workflow/scripts"

# What a process of a case runs before its own code.
IN_RANKS = "import sys\nif sys.orig_argv[5:6] == ['wanbench.measure.measured_process']:\n"
# Keeps the frames, since an encoder makes much of a difference in the last bit.
KEPT = """\
    import diffusers.utils, numpy
    encode = diffusers.utils.export_to_video
    diffusers.utils.export_to_video = lambda frames, *args, **kwargs: (
        numpy.save('{file}', frames), encode(frames, *args, **kwargs))
"""
# Traced as for any compiler, and run as it is: on one core, the code for two ranks would take a minute to make.
TRACED = """\
    import torch
    compiled = torch.nn.Module.compile
    torch.nn.Module.compile = lambda *args, **kwargs: compiled(*args, **kwargs, backend='eager')
"""


def in_rank(rank: int) -> str:
    """Module, the supervisor's process ID, rank, file of the attempt."""
    return f"import sys\nif sys.orig_argv[5:8:2] == ['wanbench.measure.measured_process', '{rank}']:\n"


@pytest.fixture
def before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], object]:
    """Sets what each Python process runs first."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return (tmp_path / "sitecustomize.py").write_text


def test_compiled_and_offloaded_ranks_together_make_the_video_of_one_process_with_both_experts(
    tmp_path: Path, before: Callable[[str], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And import nothing that the digest of measuring does not cover."""
    settings = {"model": "T2V-A14B", "steps": 4, "repeats": 2}
    expected = stock_frames(tiny_case(**settings))
    before(IN_RANKS + KEPT.format(file=tmp_path / "frames.npy") + TRACED)
    # Each process writes to the log what it imports.
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    case = tiny_case(**settings, gpus=2, offload="model", compile="repeated_blocks")
    outcome, trace = run(case, tmp_path, keep_frames=False)
    assert outcome.status == "ok"
    assert trace.kept is None
    assert not (tmp_path / "results/frames/tiny").exists()
    assert relative_error(np.load(tmp_path / "frames.npy"), expected) <= rounding_bound(case)
    assert trace.applied["gpus"] == 2
    assert "Process_Group" in {detail.name for detail in trace.details}
    assert "Compilation" in {stage.name for stage in trace.stages}
    # They share the cores.
    assert trace.environment["cpu_threads_torch"] == max(1, len(os.sched_getaffinity(0)) // 2)
    assert imageio.imread(tmp_path / "results/videos/tiny.mp4").shape == (5, 32, 32, 3)
    assert_covered(tmp_path / "log")


def assert_covered(log: Path) -> None:
    """Of the measured process, of the rank beside it and of the sampler."""
    names = re.findall(r"import time:.*\| +(wanbench[\w.]*)$", log.read_text("utf-8"), re.M)
    # The measured process and the rank.
    assert names.count("wanbench.measure.wan.run_case") == 2
    imported = {SCRIPTS / name.replace(".", "/") for name in names}
    files = {path / "__init__.py" if path.is_dir() else path.with_suffix(".py") for path in imported}
    for module in ("measure/wan/run_case", "measure/wan/build", "telemetry/host", "util/lifeline"):
        assert SCRIPTS / f"wanbench/{module}.py" in files
    started = {SCRIPTS / f"wanbench/{module}.py" for module in ("measure/measured_process", "telemetry/sampler")}
    exempt = tuple(f"{SCRIPTS}/{name}" for name in NOT_MEASURED)
    uncovered = (files | started) - set(closure(SCRIPTS / "measure_case.py", NOT_MEASURED))
    assert not {file for file in uncovered if not str(file).startswith(exempt)}


def test_a_killed_rank_ends_the_case_and_is_named(tmp_path: Path) -> None:
    when_it_measures(tmp_path, partial(signal_to, "3", signal.SIGKILL), samples=1)
    outcome, trace = run(tiny_case(gpus=4), tmp_path, simulated_work("time.sleep(600)"))
    assert outcome.status == trace.status == "killed"
    assert outcome.message.startswith("rank 3: ended by signal SIGKILL")
    assert trace.error["stage_reached"] == "Step_0_Inference"


FAILING = """\
    import torch, diffusers
    count = 0
    step = diffusers.UniPCMultistepScheduler.step
    def failing(*args, **kwargs):
        global count
        count += 1
        if count == 2:
            raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 2.00 GiB.')
        return step(*args, **kwargs)
    diffusers.UniPCMultistepScheduler.step = failing
"""


def test_what_a_rank_fails_of_is_what_the_case_fails_of(tmp_path: Path, before: Callable[[str], object]) -> None:
    before(in_rank(1) + FAILING)
    outcome, trace = run(tiny_case(steps=1000, gpus=2), tmp_path)
    assert (outcome.status, trace.error["stage_reached"]) == ("oom", "Step_2_Inference")
    assert outcome.message == "rank 1: CUDA out of memory. Tried to allocate 2.00 GiB."


def test_a_case_that_takes_too_long_is_ended_with_all_its_ranks(tmp_path: Path) -> None:
    outcome, _ = run(tiny_case(gpus=2, timeout_s=1), tmp_path, simulated_work("time.sleep(600)"))
    assert outcome == Outcome("timeout", "ended after timeout_s = 1 s")


def test_ranks_on_gpus_need_one_each_and_on_the_cpu_none() -> None:
    two = tiny_case(gpus=2)
    check_enough_gpus(tiny_case(), CUDA, 0)
    check_enough_gpus(two, CUDA, 2)
    check_enough_gpus(two, CPU, 0)
    for device, given in ((CUDA, 0), (CUDA, 1), (CPU, 1)):
        with pytest.raises(SettingError, match=f"gpus: 2 needs as many GPUs, and NVML knows of {given} that"):
            check_enough_gpus(two, device, given)


def test_the_gpu_of_each_rank_is_checked_against_the_one_that_was_taken_for_it(tmp_path: Path) -> None:
    attempt = attempt_in(tmp_path, tiny_case(gpus=2)).begun(None, ["GPU-b", "GPU-a"])
    check_gpu({"uuid": "GPU-a"}, attempt.gpus_of(1))
    with pytest.raises(SettingError, match="torch computes on GPU-a, and this case has GPU-b"):
        check_gpu({"uuid": "GPU-a"}, attempt.gpus_of(0))
    assert len({attempt.events_of(0), attempt.events_of(1), attempt.rendezvous}) == 3
    for gpu, given in ((None, ["GPU-a"]), ({"uuid": "GPU-a"}, []), ({"uuid": "GPU-a"}, ["MIG-b"])):
        check_gpu(gpu, given)


def test_attention_backends_for_several_gpus_are_those_of_diffusers() -> None:
    named = SETTINGS["attention"].allowed["enum"]
    supported = _AttentionBackendRegistry._supports_context_parallel
    assert set(PARALLEL_ATTENTION) == {backend for backend in named if backend in supported}


def test_at_full_scale_the_published_models_decide_how_many_gpus_can_share_a_pass() -> None:
    full = {"scale": "full", "size": "1280*704", "frames": 121}
    assert tiny_case(gpus=8, **full).gpus == 8
    with pytest.raises(InputError, match=r"allowed: 1, 2, 4, 8 \(TI2V-5B at 1280\*704: .* 24 attention .* 27280 tok"):
        tiny_case(gpus=5, **full)
    small = {"scale": "full", "size": "832*480", "frames": 81}
    with pytest.raises(InputError, match=r"allowed: 1, 2, 4, 5, 8, 10, 20, 40 \(T2V-A14B at 832\*480: .* 40 att"):
        tiny_case("T2V-A14B", gpus=3, **small)


def test_a_checkpoint_folder_says_itself_how_many_heads_it_has(tmp_path: Path) -> None:
    settings = {"weights": "pretrained", "size": "96*64", "frames": 5}
    full, tiny = (str(write_hollow_checkpoint(tmp_path / scale, scale=scale)) for scale in ("full", "tiny"))
    assert tiny_case(gpus=6, checkpoint=full, **settings).gpus == 6
    with pytest.raises(InputError, match="the 8 attention heads"):
        tiny_case(gpus=6, checkpoint=tiny, **settings)

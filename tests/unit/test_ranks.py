"""Cases on several GPUs, here several processes on the CPU that talk through gloo: real processes, and their ends."""

import signal
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch
from diffusers.models.attention_dispatch import _AttentionBackendRegistry

from attempts import left_in, order_of, places_in, wait_for
from conftest import simulated_gpus
from example_cases import tiny_case
from fake_nvml import H200
from tiny import CPU, record
from wanbench.cases.case import Case
from wanbench.cases.several_gpus import PARALLEL_ATTENTION
from wanbench.registry.settings import SETTINGS
from wanbench.measure.gpu_slots import Slot
from wanbench.measure.job import Job
from wanbench.measure.outcome import Outcome, ReportedError, TimeLimit
from wanbench.measure.rank_ends import RankEnd, outcome_of_ranks
from wanbench.measure.supervisor import supervise
from wanbench.measure.wan.build import build_pipeline
from wanbench.measure.wan.generate import pipeline_arguments
from wanbench.measure.wan.setup import SettingError, apply_settings, check_enough_gpus, check_gpu
from wanbench.telemetry.gpus import Gpu
from wanbench.trace.reader import Trace, read_trace
from wanbench.util.errors import InputError

CUDA = torch.device("cuda")


def run(case: Case, folder: Path) -> tuple[Outcome, Trace]:
    folder.mkdir(exist_ok=True)
    places = places_in(folder, case)
    outcome = supervise(order_of(case, places), None)
    assert left_in(places) == {"run", "trace.json"}
    assert not psutil.Process().children(recursive=True)
    return outcome, read_trace(places.trace)


def decoding(case: Case, dtype: torch.dtype, folder: Path) -> dict[str, np.ndarray]:
    """What a process without others decodes, and what it makes of it."""
    pipe, _ = record(folder, lambda clock: build_pipeline(case, CPU, clock))
    apply_settings(pipe, case, CPU)
    pipe.to(dtype)
    decode, seen = pipe.vae.decode, {}

    def observed(latents: torch.Tensor, **options: bool) -> tuple[torch.Tensor]:
        seen["latents"], seen["decoded"] = latents.numpy(), decode(latents, **options)[0].numpy()
        return decode(latents, **options)

    pipe.vae.decode = observed
    pipe(**pipeline_arguments(case))
    return seen


def assert_equal_but_for_rounding(found: dict[str, np.ndarray], case: Case, folder: Path) -> None:
    """Two computations in float32 are about as far from the one in float64; a fault is a hundred thousand times that.

    Of encoded pixels this cannot be asked: a frame that differs by 1e-7 is encoded to pixels that differ by 30.
    """
    exact, alone = (decoding(case, dtype, folder) for dtype in (torch.float64, torch.float32))
    for name in ("latents", "decoded"):
        error, rounding = (np.linalg.norm(other[name] - exact[name]) for other in (found, alone))
        assert 0 < rounding < 1e-5 * np.linalg.norm(exact[name])
        assert error < 4 * rounding, name


# What a process of a case runs before its own code.
IN_RANKS = (
    "import sys\nif sys.orig_argv[2].startswith(('wanbench.measure.measured_process', 'wanbench.measure.rank')):\n"
)
NO_PROCESS_GROUP = "    import torch.distributed\n    torch.distributed.init_process_group = None\n"
# Traced as for any compiler, and run as it is: on one core, the code for two ranks would take a minute to make.
TRACED = """\
    import torch
    compiled = torch.nn.Module.compile
    torch.nn.Module.compile = lambda *args, **kwargs: compiled(*args, **kwargs, backend='eager')
"""


# Keeps what the measured process decodes, and what it makes of it.
KEEPING = """\
import sys
if sys.orig_argv[2] == 'wanbench.measure.measured_process':
    import diffusers, numpy
    decode = diffusers.AutoencoderKLWan.decode
    def keeping(self, latents, **options):
        decoded = decode(self, latents, **options)
        numpy.savez(FILE, latents=latents.numpy(), decoded=decoded[0].numpy())
        return decoded
    diffusers.AutoencoderKLWan.decode = keeping
"""


@pytest.fixture
def before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], object]:
    """Sets what each Python process runs first."""
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    return (tmp_path / "sitecustomize.py").write_text


def test_compiled_and_offloaded_ranks_together_make_the_video_of_one_process(
    tmp_path: Path, before: Callable[[str], object]
) -> None:
    before(IN_RANKS + NO_PROCESS_GROUP)
    _, alone = run(tiny_case(repeats=2), tmp_path / "alone")
    kept = tmp_path / "kept.npz"
    before(KEEPING.replace("FILE", repr(str(kept))) + IN_RANKS + TRACED)
    case = tiny_case(gpus=2, repeats=2, offload="model", compile="repeated_blocks")
    outcome, together = run(case, tmp_path / "together")
    assert outcome.status == "ok"
    assert_equal_but_for_rounding(dict(np.load(kept)), tiny_case(), tmp_path)
    assert (alone.applied["gpus"], together.applied["gpus"]) == (1, 2)
    assert {detail.name for detail in together.details} - {detail.name for detail in alone.details} == {"Process_Group"}
    assert {stage.name for stage in together.stages} - {stage.name for stage in alone.stages} == {"Compilation"}
    # All ranks are in the process tree, each with a torch of its own, and they share the cores.
    memory = [max(stage.measures.get("process_mem_bytes", 0) for stage in trace.stages) for trace in (alone, together)]
    assert memory[1] > 1.5 * memory[0]
    threads = [trace.environment["cpu_threads_torch"] for trace in (alone, together)]
    assert threads[1] == max(1, threads[0] // 2)


def test_ranks_together_make_the_video_of_one_process_with_both_experts(
    tmp_path: Path, before: Callable[[str], object]
) -> None:
    kept = tmp_path / "kept.npz"
    before(KEEPING.replace("FILE", repr(str(kept))))
    outcome, _ = run(tiny_case("T2V-A14B", steps=4, gpus=2), tmp_path / "together")
    assert outcome.status == "ok"
    assert_equal_but_for_rounding(dict(np.load(kept)), tiny_case("T2V-A14B", steps=4), tmp_path)


def when_steps_are_done(work: Path, then: Callable[[], None]) -> None:
    def wait() -> None:
        events = work / "events.jsonl"
        wait_for(lambda: events.exists() and "Step_2" in events.read_text())
        then()

    threading.Thread(target=wait).start()


def test_a_killed_rank_ends_the_case_at_once_and_is_named(tmp_path: Path) -> None:
    def kill() -> None:
        for process in psutil.Process().children():
            if "wanbench.measure.rank" in process.cmdline():
                process.send_signal(signal.SIGKILL)

    when_steps_are_done(tmp_path / "results/attempts/tiny", kill)
    # All its steps would take minutes.
    outcome, trace = run(tiny_case(steps=1000, gpus=2), tmp_path)
    assert outcome.status == trace.status == "killed"
    assert outcome.message.startswith("rank 1: ended by signal SIGKILL")
    assert trace.error["stage_reached"].startswith("Step_")


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
    before(IN_RANKS.replace("'wanbench.measure.measured_process', ", "") + FAILING)
    outcome, trace = run(tiny_case(steps=1000, gpus=2), tmp_path)
    assert (outcome.status, trace.error["stage_reached"]) == ("oom", "Step_2_Inference")
    assert outcome.message == "rank 1: CUDA out of memory. Tried to allocate 2.00 GiB."


def test_a_case_that_takes_too_long_is_ended_with_all_its_ranks(tmp_path: Path) -> None:
    outcome, _ = run(tiny_case(gpus=2, timeout_s=1), tmp_path)
    assert outcome == Outcome("timeout", "ended after timeout_s = 1 s")


def test_a_case_that_wants_more_gpus_than_there_are_is_an_error_that_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("wanbench.measure.supervisor.usable_gpus", lambda environment: [Gpu(H200, 1)])
    for name, value in simulated_gpus(H200).items():
        monkeypatch.setenv(name, value)
    outcome, trace = run(tiny_case(gpus=2), tmp_path)
    message = "gpus: 2 needs as many GPUs, and NVML knows of 1 that may be used here"
    assert outcome == Outcome("error", message, "SettingError")
    assert trace.environment["gpu_telemetry"]["gpus"] == [H200]


def test_ranks_on_gpus_need_one_each_and_on_the_cpu_none() -> None:
    two = tiny_case(gpus=2)
    check_enough_gpus(tiny_case(), CUDA, 0)
    check_enough_gpus(two, CUDA, 2)
    check_enough_gpus(two, CPU, 0)
    for device, given in ((CUDA, 0), (CUDA, 1), (CPU, 1)):
        with pytest.raises(SettingError, match=f"gpus: 2 needs as many GPUs, and NVML knows of {given} that"):
            check_enough_gpus(two, device, given)


def test_each_rank_sees_the_gpus_of_its_case_and_its_own_first() -> None:
    slot = Slot([Gpu("GPU-c", 1), Gpu("GPU-a", 1), Gpu("GPU-b", 1)], ())
    seen = [slot.environment_of(rank)["CUDA_VISIBLE_DEVICES"] for rank in range(3)]
    assert seen == ["GPU-c,GPU-a,GPU-b", "GPU-a,GPU-c,GPU-b", "GPU-b,GPU-c,GPU-a"]
    assert Slot([Gpu("GPU-a", 1)], ()).environment_of(0) == Slot([Gpu("GPU-a", 1)], ()).environment()
    assert Slot([], ()).environment_of(1) == {}


def test_the_gpu_of_each_rank_is_checked_against_the_one_that_was_taken_for_it(tmp_path: Path) -> None:
    job = Job(tiny_case(gpus=2), ["GPU-b", "GPU-a"], tmp_path / "events.jsonl", tmp_path / "v.mp4", 0, None, "")
    check_gpu({"uuid": "GPU-a"}, job.gpus_of(1))
    with pytest.raises(SettingError, match="torch computes on GPU-a, and this case has GPU-b"):
        check_gpu({"uuid": "GPU-a"}, job.gpus_of(0))
    assert len({job.events_of(0), job.events_of(1), job.rendezvous}) == 3
    assert replace(job, gpus=[]).gpus_of(1) == []


LOST = ReportedError("RuntimeError", "Connection closed by peer", False, 20)
OOM = ReportedError("OutOfMemoryError", "CUDA out of memory", True, 30)
BROKEN = ReportedError("ValueError", "broken", False, 10)


@pytest.mark.parametrize(
    ("ends", "status", "message"),
    [
        ([(0, None), (0, None)], "error", "ended with exit code 0 and without a report"),
        ([(78, LOST), (-9, None)], "killed", "rank 1: ended by signal SIGKILL"),
        ([(-9, None), (78, LOST)], "killed", "ended by signal SIGKILL"),
        ([(78, LOST), (78, BROKEN)], "error", "rank 1: broken"),
        ([(78, BROKEN), (78, LOST)], "error", "broken"),
        ([(None, None), (78, BROKEN)], "error", "rank 1: broken"),
        # Torch aborts a rank that waited for others in vain.
        ([(-6, None), (78, BROKEN)], "error", "rank 1: broken"),
        ([(78, BROKEN), (-6, None)], "error", "broken"),
        ([(-6, None), (None, None)], "killed", "ended by signal SIGABRT"),
        ([(78, LOST), (78, OOM)], "oom", "rank 1: CUDA out of memory"),
        ([(78, OOM), (78, replace(OOM, time_ns=5))], "oom", "rank 1: CUDA out of memory"),
        ([(None, None), (None, None), (79, None)], "error", "rank 2: the disk of results/attempts is full"),
    ],
)
def test_the_rank_that_failed_first_says_how_the_case_ended(
    ends: list[tuple[int | None, ReportedError | None]], status: str, message: str
) -> None:
    ranks = [RankEnd(rank, code, error) for rank, (code, error) in enumerate(ends)]
    outcome = outcome_of_ranks(ranks, None, finished=False)
    assert outcome.status == status
    assert outcome.message.startswith(message)
    assert outcome_of_ranks(ranks, None, finished=True) == Outcome("ok")


def test_a_case_that_is_ended_for_its_time_is_no_case_of_a_lost_rank() -> None:
    ends = [RankEnd(0, None, None), RankEnd(1, 78, LOST)]
    assert outcome_of_ranks(ends, TimeLimit(1, "x"), finished=False) == Outcome("timeout", "ended after x")


def test_attention_backends_for_several_gpus_are_those_of_diffusers() -> None:
    named = SETTINGS["attention"].allowed["enum"]
    supported = _AttentionBackendRegistry._supports_context_parallel
    assert set(PARALLEL_ATTENTION) == {backend for backend in named if backend in supported}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gpus": 0}, "gpus: 0 is not allowed; allowed: an integer of 1 or more"),
        ({"gpus": 3}, "gpus: 3 is not allowed; allowed: 1, 2, 4 .TI2V-5B at 64.64: the 4 att"),
        ({"gpus": 4, "frames": 1, "size": "64*32"}, "gpus: 4 is not allowed; allowed: 1, 2 .* and the 2 tokens"),
        ({"gpus": 2, "offload": "group"}, 'offload: "group" is not allowed; allowed: none, model with gpus: 2'),
        ({"gpus": 2, "attention": "flex"}, 'attention: "flex" is not allowed; allowed: native, .* with gpus: 2'),
        ({"gpus": 2, "cache": "first_block"}, 'cache: "first_block" is not allowed; allowed: none with gpus: 2'),
    ],
)
def test_what_several_gpus_cannot_do_is_refused_before_anything_runs(settings: dict, message: str) -> None:
    with pytest.raises(InputError, match=f"^tiny: case 'tiny': {message}"):
        tiny_case(**settings)


def test_at_full_scale_the_published_models_decide_how_many_gpus_can_share_a_pass() -> None:
    full = {"scale": "full", "size": "1280*704", "frames": 121}
    assert tiny_case(gpus=8, **full).gpus == 8
    with pytest.raises(InputError, match=r"allowed: 1, 2, 4, 8 \(TI2V-5B at 1280\*704: .* 24 attention .* 27280 tok"):
        tiny_case(gpus=5, **full)
    small = {"scale": "full", "size": "832*480", "frames": 81}
    with pytest.raises(InputError, match=r"allowed: 1, 2, 4, 5, 8, 10, 20, 40 \(T2V-A14B at 832\*480: .* 40 att"):
        tiny_case("T2V-A14B", gpus=3, **small)


def test_a_checkpoint_folder_says_itself_how_many_heads_it_has(tmp_path: Path) -> None:
    (tmp_path / "transformer").mkdir()
    (tmp_path / "model_index.json").write_text("{}")
    (tmp_path / "transformer/config.json").write_text('{"num_attention_heads": 6}')
    settings = {"weights": "pretrained", "checkpoint": str(tmp_path), "size": "96*64", "frames": 5}
    assert tiny_case(gpus=6, **settings).gpus == 6
    with pytest.raises(InputError, match="the 6 attention heads"):
        tiny_case(gpus=4, **settings)

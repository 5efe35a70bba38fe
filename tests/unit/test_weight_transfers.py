"""What loading costs when copies run on a stream of their own. The two streams are simulated on one made-up clock."""

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from diffusers.hooks.group_offloading import GroupOffloadingHook, ModuleGroup, apply_group_offloading
from torch import nn

from tiny import CPU
from traces import records, trace_of
from wanbench.measure.spans import read_records, stages_of
from wanbench.measure.stage_clock import StageClock
from wanbench.measure.wan import weight_transfers
from wanbench.measure.wan.weight_transfers import hooks_of, observe_stream_waits, observe_weight_transfers
from wanbench.util.event_log import EventLog, EventTail

MS = 1_000_000


@dataclass
class Gpu:
    """Two queues: until when each stream has work, in nanoseconds."""

    now_ns: int = 1000 * MS
    busy_until_ns: dict[str, int] = field(default_factory=lambda: {"compute": 0, "copy": 0})

    def enqueue(self, stream: str, time_ns: int) -> None:
        self.busy_until_ns[stream] = max(self.now_ns, self.busy_until_ns[stream]) + time_ns

    def wait_for(self, stream: str) -> None:
        self.now_ns = max(self.now_ns, self.busy_until_ns[stream])

    def synchronise(self) -> None:
        for stream in self.busy_until_ns:
            self.wait_for(stream)


@dataclass
class Event:
    gpu: Gpu

    def record(self, stream: "Stream | None" = None) -> None:
        self.at_ns = max(self.gpu.now_ns, self.gpu.busy_until_ns["copy" if stream else "compute"])

    def elapsed_time(self, later: "Event") -> float:
        return (later.at_ns - self.at_ns) / MS


@dataclass
class Stream:
    gpu: Gpu

    def synchronize(self) -> None:
        self.gpu.wait_for("copy")


class Layer(nn.Linear):
    def __init__(self, gpu: Gpu, compute_ms: int) -> None:
        super().__init__(4, 4, bias=False)
        self.gpu, self.compute_ms = gpu, compute_ms

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        self.gpu.enqueue("compute", self.compute_ms * MS)
        self.gpu.wait_for("compute")
        return values


def run_layers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, copy_ms: int, compute_ms: int, streamed: bool = True
) -> dict:
    """A step through four layers under diffusers' own hooks, with weights prefetched as from its second pass on."""
    gpu = Gpu()
    monkeypatch.setattr(weight_transfers.time, "monotonic_ns", lambda: gpu.now_ns)
    model = nn.Sequential(*(Layer(gpu, compute_ms) for _ in range(4)))

    def onload(group: ModuleGroup) -> None:
        gpu.wait_for("copy")  # for the group before
        gpu.enqueue("copy", copy_ms * MS)

    monkeypatch.setattr(ModuleGroup, "onload_", onload)
    monkeypatch.setattr(ModuleGroup, "offload_", lambda group: None)
    # A host that is not where the weights are, since a hook brings weights that it still finds there.
    apply_group_offloading(model, torch.device("cpu"), torch.device("meta"), "leaf_level")
    hooks = hooks_of(model, GroupOffloadingHook)
    for hook, following in pairwise(hooks):
        hook.next_group = following.group
        following.group.onload_self = False
    for hook in hooks:
        hook.group.stream = Stream(gpu) if streamed else None

    clock = StageClock(EventLog(tmp_path / "events"), gpu.synchronise)
    with observe_stream_waits([model], clock, lambda enable_timing: Event(gpu)):
        clock.begin("Step_0", "step", step=0, steps=1)
        model(torch.zeros(1, 4))
        clock.end()
    recording = read_records(EventTail(tmp_path / "events").new_records())
    return {stage.name: stage for stage in stages_of(recording, 0)}


@pytest.mark.parametrize(("copy_ms", "compute_ms", "loading_ms"), [(3, 10, 3), (10, 3, 10 + 3 * 7)])
def test_copies_behind_computing_cost_the_first_and_what_they_are_slower(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, copy_ms: int, compute_ms: int, loading_ms: int
) -> None:
    stages = run_layers(tmp_path, monkeypatch, copy_ms=copy_ms, compute_ms=compute_ms)
    assert stages["Step_0_Loading"].time_ns == loading_ms * MS
    assert stages["Step_0_Inference"].time_ns == 4 * compute_ms * MS
    assert stages["Step_0_Loading"].args["transfers"] == 4
    assert stages["Step_0_Loading"].args["loaded_bytes"] == 4 * 4 * 4 * 4


def test_groups_without_a_stream_have_no_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    stages = run_layers(tmp_path, monkeypatch, copy_ms=10, compute_ms=3, streamed=False)
    assert "transfers" not in stages["Step_0_Loading"].args


def test_the_timeline_gives_no_wait_the_bytes_of_all_copies_since_the_boundary() -> None:
    rows = records([1.0])
    step = next(row for row in rows if row.get("kind") == "step")
    start_ns, about = step["time_ns"], {"record": "transfers", "span": step["span"], "direction": "load"}
    rows.insert(
        rows.index(step) + 1,
        about
        | {"intervals": [(start_ns + i * MS, start_ns + (i + 1) * MS) for i in (0, 2)], "module": "stream"}
        | {"transfers": 40, "bytes": 4000},
    )
    single = {"intervals": [(start_ns + 4 * MS, start_ns + 5 * MS)], "module": "Linear", "transfers": 1, "bytes": 80}
    rows.insert(rows.index(step) + 2, about | single)
    transfers = [event for event in trace_of(rows)["traceEvents"] if event.get("cat") == "transfer"]
    assert [(event["name"], event["args"]) for event in transfers] == [
        ("load stream", {}),
        ("load stream", {}),
        ("load Linear", {"bytes": 80}),
    ]


def test_a_group_that_holds_nothing_moves_nothing(tmp_path: Path) -> None:
    """Streams give a module one for its prefetching, without a stream, if it has no parameters of its own."""
    meta = torch.device("meta")
    layer = nn.Linear(4, 4)
    groups = [ModuleGroup(modules, meta, CPU, offload_leader=layer) for modules in ([], [layer])]
    clock = StageClock(EventLog(tmp_path / "events"), lambda: None)
    with observe_weight_transfers(clock):
        for group in groups:
            group.onload_()
    transfers = read_records(EventTail(tmp_path / "events").new_records()).transfers
    assert [(transfer["module"], transfer["bytes"]) for transfer in transfers] == [("Linear", 80)]

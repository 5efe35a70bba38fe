"""Locks that keep cases off each other's GPUs. How long processes hold them: test_processes.py."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path

import pytest

from conftest import ROOT
from wanbench.measure.gpu_slots import Slot, own_slot
from wanbench.telemetry.gpus import Gpu
from wanbench.util.errors import InputError

A, B = Gpu("GPU-a", 1), Gpu("GPU-b", 2)

# Takes COUNT of GPU-a and GPU-b four times, and appends to FILE what it had and when (ns).
TAKER = """
import sys, time
from wanbench.measure.gpu_slots import own_slot
from wanbench.telemetry.gpus import Gpu
for _ in range(4):
    with own_slot([Gpu("GPU-a", 1), Gpu("GPU-b", 2)], int(sys.argv[2]), lambda line: None) as slot:
        begin_ns = time.monotonic_ns()
        time.sleep(0.05)
        with open(sys.argv[1], "a") as lines:
            lines.write("".join(f"{uuid} {begin_ns} {time.monotonic_ns()}\\n" for uuid in slot.uuids))
"""


def at_once(usable: list[Gpu], count: int = 1) -> AbstractContextManager[Slot]:
    return own_slot(usable, count, pytest.fail)


class Waits(Exception):
    """Raised where a slot is not to be had at once."""


def has_to_wait(usable: list[Gpu], count: int = 1) -> bool:
    def refuse(line: str) -> None:
        raise Waits

    try:
        with own_slot(usable, count, refuse):
            return False
    except Waits:
        return True


def test_cases_get_different_gpus_in_the_order_of_the_scheduler_and_give_them_back() -> None:
    with at_once([B, A]) as first:
        assert first.uuids == ["GPU-b"]
        assert first.environment() == {"CUDA_VISIBLE_DEVICES": "GPU-b"}
        with at_once([B, A]) as second:
            assert second.gpus == [A]
            assert has_to_wait([A, B])
        # A case that may use another GPU only is not held up by those that wait.
        assert not has_to_wait([A])
        assert has_to_wait([B])
    assert not has_to_wait([B])


def test_several_gpus_are_had_all_or_not_at_all() -> None:
    with at_once([A, B], 2) as both:
        assert both.environment() == {"CUDA_VISIBLE_DEVICES": "GPU-a,GPU-b"}
        assert has_to_wait([B])
    with at_once([B]):
        assert has_to_wait([A, B], 2)
        # What waits for both has not kept the one that was free.
        assert not has_to_wait([A])


def test_without_a_known_gpu_a_case_has_the_machine_to_itself() -> None:
    with at_once([]) as slot:
        assert slot.environment() == {}
        assert has_to_wait([])
        assert has_to_wait([A])
    with at_once([A]):
        assert has_to_wait([])


def test_cases_that_want_one_or_both_of_two_gpus_never_overlap_and_never_block_each_other(tmp_path: Path) -> None:
    file = tmp_path / "had"
    command = [sys.executable, "-c", TAKER, file]
    takers = [subprocess.Popen([*command, count], cwd=ROOT / "workflow/scripts") for count in "1221"]
    assert [taker.wait(300) for taker in takers] == [0, 0, 0, 0]
    had = [(uuid, int(begin), int(end)) for uuid, begin, end in map(str.split, file.read_text().splitlines())]
    assert len(had) == 4 * (1 + 2 + 2 + 1)
    for uuid in ("GPU-a", "GPU-b"):
        spans = sorted((begin, end) for found, begin, end in had if found == uuid)
        assert len(spans) >= 8
        assert all(end < begin for (_, end), (begin, _) in zip(spans, spans[1:]))


def loose(folder: Path) -> None:
    folder.mkdir(0o755)


def link(folder: Path) -> None:
    (folder.parent / "elsewhere").mkdir(0o700)
    folder.symlink_to(folder.parent / "elsewhere")


@pytest.mark.parametrize(
    ("prepare", "uid", "reason"),
    [
        (loose, os.geteuid(), "belongs to user .* as drwxr-xr-x, .* with mode 700"),
        (link, os.geteuid(), "as lrwxrwxrwx"),
        (
            partial(Path.mkdir, mode=0o700),
            os.geteuid() + 1,
            f"belongs to user {os.geteuid()} as .* user {os.geteuid() + 1} ",
        ),
        (lambda folder: folder.parent.rmdir(), os.geteuid(), "cannot hold the locks of GPUs: No such file"),
    ],
)
def test_a_folder_that_others_could_write_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, prepare: Callable[[Path], None], uid: int, reason: str
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    (tmp_path / "tmp").mkdir()
    folder = tmp_path / f"tmp/wanbench-{uid}"
    prepare(folder)
    with pytest.raises(InputError, match=f"^{folder}: .*{reason}"), at_once([A]):
        pass

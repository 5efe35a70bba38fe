"""Grid files, checkpoints, pictures and traces that chance has broken: each is refused in words, or harmless.

The seed is fixed. `MALFORMED=5000 MUTATIONS=1000 python -m pytest -n 0 tests/unit/test_malformed_inputs.py` tries more.
"""

import os
import random
import shutil
from collections.abc import Callable
from copy import deepcopy
from functools import reduce
from io import BytesIO
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
import yaml
from PIL import Image

from checkpoints import write_hollow_checkpoint
from conftest import ROOT
from hostile import ACTIVE, paths_in
from measured_cases import render
from reports import report
from traces import LIMITS, read_content
from wanbench.analysis.collect import collect
from wanbench.cases.resolve import resolve_cases
from wanbench.cases.yaml_file import read_yaml
from wanbench.compare.change_verdict import compare
from wanbench.compare.sides import side_of
from wanbench.trace.writer import write_trace
from wanbench.util.errors import InputError
from wanbench.util.text import visible

COUNT = int(os.environ.get("MALFORMED", "100"))
SEED = 17

GRID = {
    "defaults": {"model": "TI2V-5B", "scale": "tiny", "unofficial_size": True, "size": "64*64", "frames": 5},
    "cases": {
        "a": {"steps": 2, "prompt": "a cat, 猫", "guidance": 5.0},
        "b": {"model": "T2V-A14B", "size": "32*32", "guidance": [4.0, 3.0], "offload": "model"},
        "c": {"task": "i2v", "image": "config/first_frame.png"},
        "d": {"lora": "absent.safetensors"},
        "e": {"weights": "pretrained", "checkpoint": "results/checkpoints/tiny/TI2V-5B"},
    },
    "grid": {
        "name": "{steps}_{offload}",
        "axes": {"steps": [1, 2], "offload": ["none", "group"]},
        "set": {"dtype": "float32"},
        "exclude": [{"steps": 1, "offload": "group"}],
    },
}
TOKENS = ["\t", "\x00", "\x1b[31m", *"{}[]:,#&*!|>%@`'\"-?~", "<<:", "---", "...", "&a", "*a", "!!binary", "!!set"]
TOKENS += ["!!python/object:os.system", "010", "1:20", "1e3", ".nan", "-.inf", "on", "2024-01-31", "\u00a0", "\u201c"]
TOKENS += ["\u202e", "\ufeff", "\u2028", "\r", "😀", "null", "{x}"]
VALUES: list[Any] = [None, True, -1, 0, 1e308, 10**400, "", " ", "x" * 5000, "\u202e", "{steps}", "..", "/", "a\nb"]
VALUES += ["~nobody-of-this-name/x.safetensors", "a\0.safetensors", "x" * 300 + ".safetensors", "\ud800/x"]
VALUES += [[], {}, [[[]]], {"a": {"b": []}}, [None], {"": ""}, {1: 2}, b"\xff", "猫", 5.5, [5.0, "x"], "/dev/null"]


def broken_bytes(chance: random.Random, data: bytes) -> bytes:
    """The data with a part lost, doubled, overwritten or flipped."""
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(data) + 1)
        length = chance.choice([1, 2, 8, 64, len(data) // 2])
        part, noise = data[at : at + length], chance.randbytes(length)
        middle = chance.choice([b"", part + part, noise, bytes(len(part)), bytes(byte ^ 1 for byte in part)])
        data = data[:at] + middle + data[at + length :] if chance.random() < 0.8 else data[:at]
    return data


def broken_grid(chance: random.Random) -> bytes:
    content: Any = yaml.safe_load(yaml.safe_dump(GRID))
    if chance.random() < 0.6:
        for _ in range(chance.randint(1, 2)):
            *path, key = chance.choice(list(paths_in(content)))
            parent = reduce(getitem, path, content)
            parent[key] = chance.choice(VALUES)
            if isinstance(parent, dict) and chance.random() < 0.3:
                parent[chance.choice(["stepz", "", "a" * 300, 7, None, "a/b", "é"])] = parent.pop(key)
    text = yaml.safe_dump(content, allow_unicode=True)
    for _ in range(chance.randint(0, 3)):
        at = chance.randrange(len(text) + 1)
        text = text[:at] + chance.choice(TOKENS) + text[at:]
    data = text.encode(chance.choice(["utf-8"] * 8 + ["utf-16", "utf-8-sig"]), "surrogatepass")
    return broken_bytes(chance, data) if chance.random() < 0.3 else data


def outcome(grid: Callable[[], dict[str, Any]], folder: Path) -> bool:
    """Whether a grid is refused, which must say why; in either case nothing is written."""
    before = {file: file.lstat().st_mtime_ns for file in folder.rglob("*")}
    try:
        resolve_cases(grid(), "grid.yaml")
        said = None
    except InputError as error:
        said = str(error)
    assert said is None or (said and all(len(line) < 3000 for line in said.splitlines()))
    # As a run prints it, see `refuse` in common.smk.
    assert not ACTIVE.search(visible(said or ""))
    assert {file: file.lstat().st_mtime_ns for file in folder.rglob("*")} == before
    return said is not None


def test_broken_grid_files(tmp_path: Path) -> None:
    file, refused = tmp_path / "grid.yaml", 0
    for number in range(COUNT):
        chance = random.Random(f"{SEED} grid {number}")
        file.write_bytes(broken_grid(chance))
        refused += outcome(lambda: read_yaml(file), tmp_path)
    assert refused > COUNT / 2


def test_broken_checkpoints(tmp_path: Path) -> None:
    whole = write_hollow_checkpoint(tmp_path / "whole")
    files = sorted(file.relative_to(whole) for file in whole.rglob("*") if file.is_file())
    folder, refused = tmp_path / "checkpoint", 0
    case = {"model": "TI2V-5B", "weights": "pretrained", "checkpoint": str(folder), "gpus": 2}
    for number in range(COUNT):
        chance = random.Random(f"{SEED} checkpoint {number}")
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(whole, folder)
        victim = folder / chance.choice(files)
        if chance.random() < 0.25:
            victim.rename(victim.with_name(chance.choice(["x.fp16.safetensors", "x.bin", "x.py", "X", "config.json"])))
        else:
            victim.write_bytes(broken_bytes(chance, victim.read_bytes()))
        refused += outcome(lambda: {"cases": {"a": case}}, tmp_path)
    assert refused > COUNT / 2


@pytest.mark.parametrize("form", ["PNG", "JPEG", "WEBP"])
def test_broken_pictures(tmp_path: Path, form: str) -> None:
    memory = BytesIO()
    Image.effect_noise((40, 24), 80).convert("RGB").save(memory, form)
    file, refused = tmp_path / "picture", 0
    case = {"model": "TI2V-5B", "task": "i2v", "image": str(file)}
    for number in range(COUNT // 3 + 1):
        chance = random.Random(f"{SEED} {form} {number}")
        file.write_bytes(broken_bytes(chance, memory.getvalue()))
        refused += outcome(lambda: {"cases": {"a": case}}, tmp_path)
    assert refused > COUNT / 10


KEPT = ROOT / "tests/data/h200/traces/T2V_A14B_480p_offload_compiled.json.gz"
MUTATIONS = int(os.environ.get("MUTATIONS", "20"))
DELETED = object()
_BY_HAND = (DELETED, None, 0, -1, 0.5, 10**18, "text", [], {})


def places(content: dict[str, Any]) -> list[list[tuple[Any, ...]]]:
    """Paths to the values of each part of a trace that comes from outside."""
    parts = [list(paths_in(content[part], (part,))) for part in ("quality", "environment", "applied")]
    stages = [i for i, event in enumerate(content["traceEvents"]) if event.get("cat") == "stage"]
    events = ((i, content["traceEvents"][i]) for i in stages)
    return [*parts, [path for i, event in events for path in paths_in(event, ("traceEvents", i))]]


def changed(value: dict[str, Any], path: tuple[Any, ...], new: Any) -> dict[str, Any]:
    """A copy with another value at a path."""
    copy, (*around, key) = deepcopy(value), path
    parent = reduce(getitem, around, copy)
    if new is DELETED:
        del parent[key]
    else:
        parent[key] = new
    return copy


def troubled(content: dict[str, Any]) -> dict[str, Any]:
    """A case that every check marks, so that each has something to say of the values. Tables need no samples."""
    seen = {"other_processes": 1, "throttled_pct": {"power_cap": 50.0, "thermal_hardware": 50.0}}
    covered = {"sample_coverage_pct": 50.0, "stage_coverage_pct": 50.0, "output_finite": False}
    parts = [{"generation": None, "samples": 9} | seen, {"generation": 0, "samples": 90} | seen]
    events = [event for event in content["traceEvents"] if event["ph"] != "C"]
    return content | {"quality": content["quality"] | seen | covered | {"parts": parts}, "traceEvents": events}


def test_a_changed_value_is_refused_or_reported(tmp_path: Path) -> None:
    sound = troubled(read_content(KEPT))
    file = tmp_path / KEPT.name.removesuffix(".gz")
    write_trace(file, sound)
    (whole,), _ = collect([file], None, LIMITS)
    chance, parts, refused = random.Random(SEED), places(sound), 0
    for _ in range(MUTATIONS):
        path, new = chance.choice(chance.choice(parts)), chance.choice(_BY_HAND)
        write_trace(file, changed(sound, path, new))
        traces, excluded = collect([file], None, LIMITS)
        refused += bool(excluded)
        if excluded:
            continue
        try:
            report(*traces)
            render(compare("old", side_of([whole]), side_of(traces)))
        except Exception as error:
            raise AssertionError(f"{path} = {new}") from error
    assert MUTATIONS // 10 < refused < MUTATIONS - MUTATIONS // 10

"""Checkpoints are data: no pickle is loaded, and no code of theirs runs."""

import itertools
import os
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checkpoints import edit, write_hollow_checkpoint
from example_cases import tiny_case
from hostile import refused
from tiny import CPU, record
from wanbench.cases.case import Case
from wanbench.measure.wan.build import build_pipeline, write_checkpoint
from wanbench.models.facts import MODELS


class _Planted:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.file),)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "checkpoint"
    write_checkpoint("TI2V-5B", "tiny", folder)
    return folder


@pytest.fixture
def altered(checkpoint: Path, tmp_path: Path) -> Path:
    folder = tmp_path / "checkpoint"
    subprocess.run(["cp", "-r", str(checkpoint), str(folder)], check=True)
    return folder


def case_of(folder: Path) -> Case:
    return tiny_case(weights="pretrained", checkpoint=str(folder))


@pytest.mark.parametrize("part", ["transformer/diffusion_pytorch_model", "text_encoder/pytorch_model"])
def test_weights_that_are_a_pickle_are_refused_before_the_run_and_never_loaded(altered: Path, part: str) -> None:
    case = case_of(altered)
    weights = (altered / part).with_suffix(".bin")
    next(weights.parent.glob("*.safetensors")).unlink()
    weights.write_bytes(pickle.dumps(_Planted(altered / "planted")))
    text = refused(lambda: case_of(altered))
    assert f"its weights are pickles, which run code ({weights.parent.name}/{weights.name})" in text
    # Nor by diffusers and transformers, if it were let through.
    with pytest.raises(OSError, match="safetensors"):
        record(altered.parent, lambda clock: build_pipeline(case, CPU, clock))
    assert not (altered / "planted").exists()


def test_a_pickle_that_is_called_safetensors_is_not_loaded(altered: Path) -> None:
    case = case_of(altered)
    file = next((altered / "transformer").glob("*.safetensors"))
    file.write_bytes(pickle.dumps(_Planted(altered / "planted")))
    with pytest.raises(Exception, match=r"deserializing header|safetensors"):
        record(altered.parent, lambda clock: build_pipeline(case, CPU, clock))
    assert not (altered / "planted").exists()


PLANT = "import os\nos.mkdir(os.environ['PLANTED'])\n"


@pytest.mark.parametrize(
    ("alter", "part"),
    [
        (lambda f: edit(f / "model_index.json", transformer=["planted", "Model"]), 'transformer is ["planted"'),
        (lambda f: edit(f / "model_index.json", tokenizer=["os", "system"]), 'tokenizer is ["os"'),
        (lambda f: edit(f / "model_index.json", scheduler=["diffusers", "a.b"]), '"a.b"'),
        (lambda f: edit(f / "model_index.json", **{"../x": ["diffusers", "WanPipeline"]}), "../x is"),
        (lambda f: edit(f / "model_index.json", _class_name=["planted", "Pipeline"]), "names a pipeline of its own"),
        (lambda f: (f / "transformer/diffusers.py").write_text(PLANT), "it holds code (transformer/diffusers.py)"),
        (lambda f: (f / "planted.py").write_text(PLANT), "it holds code (planted.py)"),
        (
            lambda f: edit(f / "text_encoder/config.json", auto_map={"AutoModel": "planted.Model"}),
            "auto_map in text_enc",
        ),
        (lambda f: (f / "model_index.json").write_text("[" * 100_000), "model_index.json cannot be read"),
        (lambda f: (f / "model_index.json").write_text("3"), "model_index.json is no JSON object"),
    ],
    ids=["module", "os", "dotted", "folder", "pipeline", "component.py", "pipeline.py", "auto_map", "deep", "number"],
)
def test_a_checkpoint_with_code_is_refused_before_the_run(
    altered: Path, monkeypatch: pytest.MonkeyPatch, alter: Callable[[Path], Any], part: str
) -> None:
    monkeypatch.setenv("PLANTED", str(altered / "planted"))
    alter(altered)
    text = refused(lambda: case_of(altered))
    assert text.startswith("tiny: case 'tiny': checkpoint: ")
    assert part in text
    assert not (altered / "planted").exists()


def test_code_in_a_checkpoint_is_not_run_if_it_were_let_through(altered: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PLANTED", str(altered / "planted"))
    case = case_of(altered)
    edit(altered / "model_index.json", transformer=["planted", "Model"])
    (altered / "transformer/planted.py").write_text(PLANT)
    with pytest.raises(Exception, match="trust_remote_code"):
        record(altered.parent, lambda clock: build_pipeline(case, CPU, clock))
    assert not (altered / "planted").exists()


def test_the_published_layout_and_other_forms_of_the_same_weights_are_allowed(altered: Path) -> None:
    (altered / "transformer/diffusion_pytorch_model.bin").write_bytes(b"beside safetensors it is not loaded")
    case_of(altered)
    for scale, model in itertools.product(("full", "tiny"), MODELS):
        folder = write_hollow_checkpoint(altered.parent / scale / model, model, scale)
        tiny_case(model, weights="pretrained", checkpoint=str(folder))

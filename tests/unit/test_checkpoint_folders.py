"""A checkpoint folder that is not whole, of another model, or more than data is refused by the file's name."""

import itertools
import json
import os
import pickle
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from checkpoints import edit, write_hollow_checkpoint, write_safetensors
from example_cases import tiny_case
from hostile import refused
from tiny import CPU, record
from wanbench.cases.case import Case
from wanbench.measure.wan.build import build_pipeline, write_checkpoint
from wanbench.models.facts import MODELS

WEIGHTS = "transformer/diffusion_pytorch_model.safetensors"
INDEX = f"{WEIGHTS}.index.json"
SHARDS = [f"transformer/diffusion_pytorch_model-0000{number}-of-00002.safetensors" for number in (1, 2)]
POINTER = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'7' * 64}\nsize 12345678\n"


def shard(folder: Path) -> None:
    """Spread the weights of the transformer over two files and an index."""
    (folder / WEIGHTS).unlink()
    layers = json.loads((folder / "transformer/config.json").read_text())["num_layers"]
    names = [f"blocks.{layer}.weight" for layer in range(layers)]
    halves = names[: layers // 2], names[layers // 2 :]
    for file, half in zip(SHARDS, halves):
        write_safetensors(folder / file, half, 40)
    weight_map = {name: Path(file).name for file, half in zip(SHARDS, halves) for name in half}
    (folder / INDEX).write_text(json.dumps({"metadata": {"total_size": 80}, "weight_map": weight_map}))


def resolve(folder: Path, model: str = "TI2V-5B") -> None:
    # On two GPUs, for which the heads of its transformer are looked up.
    tiny_case(model, weights="pretrained", checkpoint=str(folder), gpus=2)


def cut(file: Path, share: float) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])


def rename(file: Path, name: str) -> None:
    file.rename(file.with_name(name))


def lost_tensor(folder: Path) -> None:
    shard(folder)
    write_safetensors(folder / SHARDS[1], ["other"], 40)


def lost_shard(folder: Path) -> None:
    shard(folder)
    (folder / SHARDS[1]).unlink()


def leads_out(folder: Path) -> None:
    shard(folder)
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": "../../etc/passwd"}}))


def lost_blob(folder: Path) -> None:
    (folder / WEIGHTS).unlink()
    (folder / WEIGHTS).symlink_to(folder / "blobs/0123")


@pytest.mark.parametrize(
    ("alter", "part"),
    [
        (lambda f: (f / WEIGHTS).write_text(POINTER), f"{WEIGHTS} is a Git LFS pointer"),
        (lambda f: cut(f / WEIGHTS, 0.9), f"{WEIGHTS} is not whole"),
        (lambda f: cut(f / WEIGHTS, 0.1), f"{WEIGHTS} is no safetensors file, or cut short"),
        (lambda f: (f / WEIGHTS).write_bytes(b""), f"{WEIGHTS} is no safetensors file, or cut short: it has 0 bytes"),
        (lambda f: (f / WEIGHTS).write_bytes(b"\2" + b"\0" * 7 + b"[]"), f"{WEIGHTS} is no safetensors file"),
        (lambda f: (f / WEIGHTS).unlink(), f"{WEIGHTS} is not there"),
        (lambda f: rename(f / WEIGHTS, "diffusion_pytorch_model.fp16.safetensors"), "loaded only as a variant"),
        (lost_blob, f"{WEIGHTS} cannot be read: No such file"),
        (lost_shard, f"{SHARDS[1]} cannot be read: No such file"),
        (lost_tensor, f"{SHARDS[1]} lacks the tensor"),
        (leads_out, "names what is no file beside it"),
        (lambda f: write_safetensors(f / WEIGHTS, ["blocks.0.weight"], 400), "its weights lack block 1 of"),
        (lambda f: (f / "vae/config.json").unlink(), "vae/config.json cannot be read"),
        (lambda f: (f / "transformer/config.json").write_text("no JSON"), "transformer/config.json cannot be read"),
        (lambda f: edit(f / "transformer/config.json", num_layers=1), "architecture of TI2V-5B: num_layers is 1"),
        (lambda f: edit(f / "vae/config.json", z_dim=16), "vae/config.json is not the architecture of TI2V-5B: z_dim"),
        (lambda f: edit(f / "model_index.json", boundary_ratio=0.9), "not of TI2V-5B: boundary_ratio is 0.9"),
        (lambda f: edit(f / "model_index.json", expand_timesteps=False), "not of TI2V-5B: expand_timesteps is false"),
        (lambda f: edit(f / "model_index.json", vae=["diffusers", "AutoencoderKL"]), "not of TI2V-5B: vae is"),
        (lambda f: (f / "model_index.json").write_text("{}"), "model_index.json is not of TI2V-5B"),
    ],
)
def test_what_is_missing_broken_or_of_another_model_is_named(
    tmp_path: Path, alter: Callable[[Path], Any], part: str
) -> None:
    folder = write_hollow_checkpoint(tmp_path / "checkpoint")
    resolve(folder)
    alter(folder)
    text = refused(lambda: resolve(folder))
    assert part in text
    assert text.startswith("tiny: case 'tiny': checkpoint: ")


def test_weights_in_several_files_and_behind_links_as_in_the_hubs_cache_are_allowed(tmp_path: Path) -> None:
    folder = write_hollow_checkpoint(tmp_path / "checkpoint")
    shard(folder)
    resolve(folder)
    snapshot = tmp_path / "models--a--b/snapshots/0123"
    for number, file in enumerate(sorted(file for file in folder.rglob("*") if file.is_file())):
        link = snapshot / file.relative_to(folder)
        link.parent.mkdir(parents=True, exist_ok=True)
        blob = tmp_path / f"models--a--b/blobs/{number}"
        blob.parent.mkdir(exist_ok=True)
        blob.write_bytes(file.read_bytes())
        link.symlink_to(blob)
    resolve(snapshot)


@pytest.mark.parametrize(("wanted", "given"), [("T2V-A14B", "TI2V-5B"), ("TI2V-5B", "T2V-A14B")])
def test_a_checkpoint_of_another_model_is_refused(tmp_path: Path, wanted: str, given: str) -> None:
    folder = write_hollow_checkpoint(tmp_path, given)
    assert f"model_index.json is not of {wanted}" in refused(lambda: resolve(folder, wanted))
    resolve(folder, given)


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

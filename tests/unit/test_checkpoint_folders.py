"""A checkpoint folder that is not whole, of another model, or more than data is refused by the file's name."""

import itertools
import json
import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from functools import partial
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


def loaded(folder: Path, model: str = "TI2V-5B", gpus: int = 1) -> Case:
    return tiny_case(model, weights="pretrained", checkpoint=str(folder), gpus=gpus)


def cut(file: Path, share: float) -> None:
    data = file.read_bytes()
    file.write_bytes(data[: int(len(data) * share)])


def lost_tensor(folder: Path) -> None:
    shard(folder)
    write_safetensors(folder / SHARDS[1], ["other"], 40)


def lost_shard(folder: Path) -> None:
    shard(folder)
    (folder / SHARDS[1]).unlink()


def leads_out(folder: Path) -> None:
    shard(folder)
    (folder / INDEX).write_text(json.dumps({"weight_map": {"a": "../../etc/passwd"}}))


@pytest.mark.parametrize(
    ("alter", "part"),
    [
        (lambda f: (f / WEIGHTS).write_text(POINTER), f"{WEIGHTS} is a Git LFS pointer"),
        (lambda f: cut(f / WEIGHTS, 0.9), f"{WEIGHTS} is not whole"),
        (lambda f: cut(f / WEIGHTS, 0.1), f"{WEIGHTS} is no safetensors file, or cut short"),
        (lambda f: (f / WEIGHTS).unlink(), f"{WEIGHTS} is not there"),
        (lambda f: (f / WEIGHTS).rename(f / "transformer/a.fp16.safetensors"), "loaded only as a variant"),
        (lost_shard, f"{SHARDS[1]} cannot be read: No such file"),
        (lost_tensor, f"{SHARDS[1]} lacks the tensor"),
        (lambda f: (f / INDEX).symlink_to(f / "nowhere"), f"{INDEX} cannot be read"),
        (leads_out, "names what is no file beside it"),
        (lambda f: write_safetensors(f / WEIGHTS, ["blocks.0.weight"], 400), "its weights lack block 1 of"),
        (lambda f: (f / "vae/config.json").unlink(), "vae/config.json cannot be read"),
        (lambda f: edit(f / "transformer/config.json", num_layers=1), "architecture of TI2V-5B: num_layers is 1"),
        (lambda f: edit(f / "model_index.json", boundary_ratio=0.9), "not of TI2V-5B: boundary_ratio is 0.9"),
        (lambda f: edit(f / "model_index.json", vae=["diffusers", "AutoencoderKL"]), "not of TI2V-5B: vae is"),
    ],
)
def test_what_is_missing_broken_or_of_another_model_is_named(
    tmp_path: Path, alter: Callable[[Path], Any], part: str
) -> None:
    folder = write_hollow_checkpoint(tmp_path / "checkpoint")
    # On two GPUs, for which the heads of its transformer are looked up.
    loaded(folder, gpus=2)
    alter(folder)
    text = refused(lambda: loaded(folder, gpus=2))
    assert part in text
    assert text.startswith("tiny: case 'tiny': checkpoint: ")


def test_weights_in_several_files_and_behind_links_as_in_the_hubs_cache_are_allowed(tmp_path: Path) -> None:
    folder = write_hollow_checkpoint(tmp_path / "checkpoint")
    shard(folder)
    loaded(folder)
    snapshot = tmp_path / "models--a--b/snapshots/0123"
    for number, file in enumerate(sorted(file for file in folder.rglob("*") if file.is_file())):
        link, blob = snapshot / file.relative_to(folder), tmp_path / f"blob_{number}"
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(file.rename(blob))
    loaded(snapshot)


class _Planted:
    """Makes a folder when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.environ["PLANTED"],)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("weights") / "checkpoint"
    write_checkpoint("TI2V-5B", "tiny", folder)
    return folder


@pytest.fixture
def altered(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A checkpoint to plant code in, which would make a folder."""
    planted = tmp_path / "planted"
    monkeypatch.setenv("PLANTED", str(planted))
    yield shutil.copytree(checkpoint, tmp_path / "checkpoint")
    assert not planted.exists()


@pytest.mark.parametrize("part", ["transformer/diffusion_pytorch_model", "text_encoder/pytorch_model"])
def test_weights_that_are_a_pickle_are_refused_before_the_run_and_never_loaded(altered: Path, part: str) -> None:
    case = loaded(altered)
    weights = (altered / part).with_suffix(".bin")
    next(weights.parent.glob("*.safetensors")).unlink()
    weights.write_bytes(pickle.dumps(_Planted()))
    text = refused(lambda: loaded(altered))
    assert f"its weights are pickles, which run code ({weights.parent.name}/{weights.name})" in text
    # Nor by diffusers and transformers, if it were let through.
    with pytest.raises(OSError, match="safetensors"):
        record(altered.parent, lambda clock: build_pipeline(case, CPU, clock))


PLANT = "import os\nos.mkdir(os.environ['PLANTED'])\n"


@pytest.mark.parametrize(
    ("alter", "part"),
    [
        (lambda f: edit(f / "model_index.json", transformer=["planted", "Model"]), 'transformer is ["planted"'),
        (lambda f: edit(f / "model_index.json", scheduler=["diffusers", "a.b"]), '"a.b"'),
        (lambda f: edit(f / "model_index.json", **{"../x": ["diffusers", "WanPipeline"]}), "../x is"),
        (lambda f: edit(f / "model_index.json", _class_name=["planted", "Pipeline"]), "names a pipeline of its own"),
        (lambda f: (f / "transformer/diffusers.py").write_text(PLANT), "it holds code (transformer/diffusers.py)"),
        (lambda f: (f / "planted.py").write_text(PLANT), "it holds code (planted.py)"),
        (lambda f: edit(f / "text_encoder/config.json", auto_map={"AutoModel": "planted.Model"}), "it names code"),
        (lambda f: (f / "model_index.json").write_text("[" * 100_000), "model_index.json cannot be read"),
        (lambda f: (f / "model_index.json").write_text("3"), "model_index.json is no JSON object"),
    ],
)
def test_a_checkpoint_with_code_is_refused_before_the_run(
    altered: Path, alter: Callable[[Path], Any], part: str
) -> None:
    alter(altered)
    text = refused(lambda: loaded(altered))
    assert text.startswith("tiny: case 'tiny': checkpoint: ")
    assert part in text


def test_code_in_a_checkpoint_is_not_run_if_it_were_let_through(altered: Path) -> None:
    case = loaded(altered)
    edit(altered / "model_index.json", transformer=["planted", "Model"])
    (altered / "transformer/planted.py").write_text(PLANT)
    with pytest.raises(Exception, match="trust_remote_code"):
        record(altered.parent, lambda clock: build_pipeline(case, CPU, clock))


def test_the_published_layout_and_other_forms_of_the_same_weights_are_allowed(altered: Path) -> None:
    (altered / "transformer/diffusion_pytorch_model.bin").write_bytes(b"beside safetensors it is not loaded")
    loaded(altered)
    for scale, model in itertools.product(("full", "tiny"), MODELS):
        folder = write_hollow_checkpoint(altered.parent / scale / model, model, scale)
        loaded(folder, model)
        other = next(each for each in MODELS if each != model)
        assert f"model_index.json is not of {other}" in refused(partial(loaded, folder, other))

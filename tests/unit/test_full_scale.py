"""Which cases need a GPU, known before anything is made or downloaded."""

from pathlib import Path

from checkpoints import write_hollow_checkpoint
from example_cases import tiny_case
from wanbench.cases.scale import is_full_scale


def with_weights(folder: Path, size_bytes: int) -> bool:
    write_hollow_checkpoint(folder, transformer_bytes=size_bytes)
    return is_full_scale(tiny_case(weights="pretrained", checkpoint=str(folder)))


def test_random_weights_say_their_scale_themselves() -> None:
    assert not is_full_scale(tiny_case())
    assert is_full_scale(tiny_case(scale="full", size="1280*704"))


def test_what_comes_from_the_hub_is_of_full_scale() -> None:
    assert is_full_scale(tiny_case(weights="pretrained"))
    assert is_full_scale(tiny_case(weights="pretrained", checkpoint="someone/model", revision="0" * 40))


def test_a_small_checkpoint_folder_is_of_tiny_scale(tmp_path: Path) -> None:
    assert not with_weights(tmp_path, 50_000_000)


def test_a_large_checkpoint_folder_is_of_full_scale(tmp_path: Path) -> None:
    assert with_weights(tmp_path, 10_000_000_000)

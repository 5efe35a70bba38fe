"""README and docs: the lines of diffusers are those that a case runs, and links lead somewhere."""

import re
from pathlib import Path
from typing import Any
from unittest.mock import MagicMock

import diffusers
import pytest
import torch

from conftest import ROOT
from example_cases import tiny_case
from wanbench.measure.wan import build, setup
from wanbench.measure.wan.build import build_pipeline
from wanbench.measure.wan.setup import apply_settings
from wanbench.registry.settings import SETTINGS

PAGES = [ROOT / "README.md", ROOT / "config/README.md", *sorted((ROOT / "docs").glob("*.md"))]
CUDA = torch.device("cuda")
# Two settings, or one, and a line.
ROWS = re.findall(r"^\| `(\w+): (\w+)`(?:, `(\w+): (\w+)`)? \| `(pipe\b.*)` \|$", PAGES[0].read_text("utf-8"), re.M)


def calls(pipe: MagicMock) -> list[tuple[str, tuple, dict[str, Any]]]:
    """Methods that were called; where a pipeline is placed is the same for both, said in one way or another."""
    placed = {"device", "onload_device"}
    return [
        (name, args if name != "to" else (), {key: value for key, value in kwargs.items() if key not in placed})
        for name, args, kwargs in pipe.mock_calls
        if not name.startswith("__") and ".__" not in name
    ]


@pytest.mark.parametrize("row", [row for row in ROWS if row[0] not in ("dtype", "shift")], ids=lambda row: row[1])
def test_a_line_of_the_readme_is_what_its_setting_does(row: tuple[str, ...], monkeypatch: pytest.MonkeyPatch) -> None:
    key, value, _, _, line = row
    monkeypatch.setattr(setup, "check_in_force", lambda in_force, case: None)
    monkeypatch.setattr(setup, "settings_in_force", lambda pipe: {})
    of_setup, of_line = MagicMock(transformer_2=None), MagicMock(transformer_2=None)
    apply_settings(of_setup, tiny_case(**{key: True if value == "true" else value}, dtype="bfloat16"), CUDA)
    exec(line, vars(diffusers) | {"torch": torch, "pipe": of_line})
    assert calls(of_line)
    assert [call for call in calls(of_line) if call not in calls(of_setup)] == []


def test_the_line_that_loads_is_that_of_a_case(monkeypatch: pytest.MonkeyPatch) -> None:
    # Beside it there is one for each way to offload.
    assert [row[1] for row in ROWS if row[0] == "offload"] == SETTINGS["offload"].allowed["enum"]
    (row,) = (row for row in ROWS if row[0] == "dtype")
    pipeline = MagicMock()
    monkeypatch.setitem(build._PIPELINES, "t2v", pipeline)
    monkeypatch.setattr(build, "UniPCMultistepScheduler", MagicMock())
    case = tiny_case(weights="pretrained", **{row[0]: row[1], row[2]: row[3]})
    build_pipeline(case, CUDA, MagicMock())
    exec(row[-1], {"torch": torch, "WanPipeline": pipeline, "HUB_ID": case.checkpoint})
    of_case, of_line = pipeline.from_pretrained.call_args_list
    assert of_line.args == of_case.args
    assert of_line.kwargs == {"dtype": of_case.kwargs["dtype"]}


def test_links_lead_to_files_and_headings_that_exist() -> None:
    def headings(file: Path) -> list[str]:
        return re.findall(r"^#+ (.+)$", file.read_text("utf-8"), re.M) if file.suffix == ".md" else []

    for page in PAGES:
        for target in re.findall(r"\]\(((?!https?:)[^)]+)\)", page.read_text("utf-8")):
            path, _, heading = target.partition("#")
            file = page.parent / path if path else page
            assert file.exists(), (page, target)
            anchors = {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in headings(file)}
            assert not heading or heading in anchors, (page, target)

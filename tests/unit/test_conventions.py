"""What users of Snakemake workflows expect in a repository, and that it agrees with the rest of the project."""

import re
import shlex

import yaml
from snakemake.cli import get_argument_parser

from conftest import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), *sorted((ROOT / "profiles").glob("*.md"))]


def test_the_version_stands_in_the_citation_and_in_the_changelog() -> None:
    version = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))["version"]
    sections = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text("utf-8"), re.M)
    assert version == "1.0.0"
    assert any(section.startswith(version) for section in sections)
    assert "Apache License" in (ROOT / "LICENSE").read_text("utf-8")


def test_each_profile_is_explained_and_has_what_the_workflow_needs() -> None:
    text = (ROOT / "profiles/README.md").read_text("utf-8")
    for profile in (ROOT / "profiles").glob("*/profile.yaml"):
        assert f"({profile.parent.name}/profile.yaml)" in text
        content = yaml.safe_load(profile.read_text("utf-8"))
        assert content["keep-going"] is True
        assert content["rerun-triggers"] == ["mtime", "params", "input"]


def test_the_catalog_names_flags_that_snakemake_has() -> None:
    usage = yaml.safe_load((ROOT / ".snakemake-workflow-catalog.yml").read_text("utf-8"))["usage"]
    assert usage["software-stack-deployment"] == {"conda": True, "apptainer": False, "apptainer+conda": False}
    arguments = get_argument_parser(profiles=[]).parse_args(shlex.split(usage["mandatory-flags"]["flags"]))
    assert [str(method) for method in arguments.software_deployment_method] == ["conda"]


def test_commands_name_conda_as_snakemake_9_does() -> None:
    commands = [line for page in PAGES for line in page.read_text("utf-8").splitlines() if line.startswith("    ")]
    assert not [line for line in commands if "--use-conda" in line]


def test_hosted_workflows_say_that_they_were_not_run_and_call_targets_that_exist() -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
    for file in (ROOT / ".github/workflows").glob("*.yml"):
        text = file.read_text("utf-8")
        assert "\n# Not run by us yet" in text
        steps = [step for job in yaml.safe_load(text)["jobs"].values() for step in job["steps"]]
        called = re.findall(r"(?<!\w)make (\S+)", " ".join(step.get("run", "") for step in steps))
        assert set(called) <= set(targets), file

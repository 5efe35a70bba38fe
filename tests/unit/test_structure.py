"""Rules about the project: two wings, one version of everything, and what users of Snakemake workflows expect."""

import ast
import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from functools import cache
from graphlib import TopologicalSorter
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from snakemake.cli import get_argument_parser

from conda_stand_in.channel import conda_name, installed_packages, pinned
from conftest import ROOT
from wanbench.measure.environment import git_state
from wanbench.util.code_closure import closure

SCRIPTS = ROOT / "workflow/scripts"
PACKAGE = SCRIPTS / "wanbench"
FILES = sorted(PACKAGE.rglob("*.py"))
RULES = sorted((ROOT / "workflow/rules").glob("*.smk"))
MEASURE_ONLY = {"torch", "diffusers", "transformers", "accelerate", "pynvml"}
# Of requirements-fast.txt, and imported where they are asked for.
OPTIONAL = {"torchao", "xformers"}
REPORT_ONLY = {"pandas", "pyarrow", "matplotlib", "skimage"}


def name_of(file: Path) -> str:
    return file.relative_to(SCRIPTS).with_suffix("").as_posix().replace("/", ".").removesuffix(".__init__")


def room_of(module: str) -> str:
    return f"{module}.".split(".")[1]


def test_the_report_wing_imports_nothing_of_the_other() -> None:
    """In an interpreter in which the other wing's packages cannot be imported.

    What the measure wing imports, `test_what_scripts_import_is_in_their_environment` shows.
    """
    names = [name_of(file) for file in FILES]
    imports = "\n".join(f"import {name}" for name in names if room_of(name) in ("report", "cases", "trace"))
    # Not by None in sys.modules, which scipy takes for torch.
    code = f"""import sys
class Without:
    def __init__(self, finder): self.finder = finder
    def __getattr__(self, name): return getattr(self.finder, name)
    def find_spec(self, name, *others):
        return None if name in {sorted(MEASURE_ONLY)} else self.finder.find_spec(name, *others)
sys.meta_path = [Without(finder) for finder in sys.meta_path]
{imports}
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_a_plan_needs_the_packages_of_no_wing() -> None:
    """It runs where any of them may be missing, and asks the measure wing what the machine has."""
    code = f"""import sys
for name in {sorted(MEASURE_ONLY | REPORT_ONLY | {"psutil"})}: sys.modules[name] = None
from wanbench.estimate.machine import this_machine
import wanbench.estimate.plan
print(this_machine({{}}).no_answer)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True)
    assert done.stdout == "the environment that plan ran in has no nvidia-ml-py\n", done.stderr


def test_the_rules_need_the_packages_of_no_wing() -> None:
    """With conda, Snakemake runs where none of them has to be."""
    lines = [line for file in (ROOT / "workflow/rules").glob("*.smk") for line in file.read_text("utf-8").splitlines()]
    imports = "\n".join(line for line in lines if line.startswith("from wanbench."))
    missing = sorted(MEASURE_ONLY | REPORT_ONLY)
    code = f"import sys\nfor name in {missing}: sys.modules[name] = None\n{imports}"
    done = subprocess.run([sys.executable, "-c", code], cwd=SCRIPTS, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def requirements(file: str) -> dict[str, str]:
    lines = (ROOT / file).read_text("utf-8").splitlines()
    return dict(line.split("==") for line in lines if "==" in line)


def test_pip_and_conda_install_the_same_versions_and_the_snakefile_asks_for_them() -> None:
    pip = requirements("requirements.txt")
    assert f'min_version("{pip["snakemake"]}")' in (ROOT / "Snakefile").read_text("utf-8")
    measure, report = pinned(ROOT / "envs/measure.yaml"), pinned(ROOT / "envs/report.yaml")
    assert measure.pop("python") == report.pop("python")
    # Snakemake's own; pygments is for --report.
    assert all(pip.pop(name) for name in ("snakemake", "pygments"))
    assert {conda_name(name): version for name, version in pip.items()} == measure | report


def scripts_by_environment() -> dict[str, str]:
    """The env file of each script, as its rule names it."""
    rules = "".join(file.read_text("utf-8") for file in RULES)
    named = r'    conda:\n        "../../(\S+)"\n(?:    .*\n)*?    script:\n        "../scripts/(\S+)"'
    return {script: env_file for env_file, script in re.findall(named, rules)}


def test_every_script_proves_its_environment_before_it_imports_from_it() -> None:
    assert scripts_by_environment().keys() == {script.name for script in SCRIPTS.glob("*.py")}
    for script, env_file in scripts_by_environment().items():
        before, call, _ = (SCRIPTS / script).read_text("utf-8").partition(f'enter_job("{env_file}", ')
        assert call, script
        imported = set(re.findall(r"^(?:import|from) (\S+)", before, re.M))
        assert imported <= sys.stdlib_module_names | {"wanbench.util.job_entry"}, script


@pytest.mark.parametrize("env_file", ["envs/measure.yaml", "envs/report.yaml"])
def test_what_scripts_import_is_in_their_environment(env_file: str) -> None:
    """Real jobs in both, tests/workflow/test_conda.py runs."""
    pins = [name for name in requirements("requirements.txt") if conda_name(name) in pinned(ROOT / env_file)]
    there = {package.name for package in installed_packages(pins)}
    distributions = packages_distributions()
    scripts = [SCRIPTS / script for script, of_rule in scripts_by_environment().items() if of_rule == env_file]
    files = {file for script in scripts for file in closure(script) if file.suffix == ".py"}
    imported = {name.split(".")[0] for file in files for name in imports_of(file)}
    foreign = imported - sys.stdlib_module_names - OPTIONAL - {"wanbench"}
    assert {name for name in foreign if not {*map(conda_name, distributions.get(name, ()))} & there} == set()


def test_only_code_makes_a_checkout_dirty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Of a path that is no text, and with a setting of git that hides new files.
    root = tmp_path / os.fsdecode(b"\xff")
    root.mkdir()

    def git(*arguments: str) -> None:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *identity, "-C", str(root), *arguments], check=True, capture_output=True)

    unknown = {"git_commit": None, "git_dirty": None, "git_changed": None}
    assert git_state(root) == unknown
    for file in ("config/config.yaml", "workflow/scripts/a.py"):
        (root / file).parent.mkdir(parents=True)
        (root / file).write_text("x = 1\n")
    for arguments in (["init"], ["add", "."], ["commit", "-m", "x"], ["config", "status.showUntrackedFiles", "no"]):
        git(*arguments)
    (root / "config/config.yaml").write_text("x = 2\n")
    assert git_state(root)["git_dirty"] is False
    (root / "workflow/scripts/b.py").write_text("")
    assert git_state(root)["git_dirty"] is True
    assert git_state(root)["git_changed"] == "scripts"
    # Another's repository around an archive, or the one that a git hook works on, is not the project's.
    inner = root / "workflow"
    assert git_state(inner) == unknown
    monkeypatch.setenv("GIT_DIR", str(root / ".git"))
    assert git_state(inner) == unknown


def test_what_the_readme_has_people_write_beside_the_results_is_no_change_of_the_checkout(tmp_path: Path) -> None:
    archives = re.findall(r"--report (\S+)", (ROOT / "README.md").read_text("utf-8"))
    assert archives
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / ".gitignore").write_text((ROOT / ".gitignore").read_text("utf-8"))
    for file in (*archives, "results_before/traces/a.json"):
        assert subprocess.run(["git", "-C", str(tmp_path), "check-ignore", "-q", file]).returncode == 0, file


# --- the house --------------------------------------------------------------------------------------------------

ROOMS = (
    *("util", "registry", "models", "cases", "trace", "telemetry", "estimate", "measure"),
    *("analysis", "tuning", "findings", "compare", "plots", "report"),
)
# Any room may import what is not here.
ONLY_IN = dict.fromkeys(MEASURE_ONLY, "measure") | {"pynvml": "telemetry", "snakemake": "no room"}


@cache
def imports_of(file: Path) -> set[str]:
    """Names of what a file imports anywhere, in functions and under TYPE_CHECKING too."""
    found = set()
    for node in ast.walk(ast.parse(file.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{file}: an import that names no package"
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def inner_imports(file: Path) -> set[str]:
    return {name for name in imports_of(file) if name.startswith("wanbench.")} & {name_of(file) for file in FILES}


def test_every_room_is_in_the_list_and_no_module_is_loose() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if path.is_dir() and path.name != "__pycache__"}
    assert folders <= set(ROOMS)
    assert [file.name for file in PACKAGE.glob("*.py")] == ["__init__.py"]


def test_imports_run_downwards() -> None:
    for file in FILES:
        name = name_of(file)
        if room := room_of(name):
            below = ROOMS[: ROOMS.index(room) + 1] if room != "registry" else ("registry",)
            assert {found for found in inner_imports(file) if room_of(found) not in below} == set(), name


def test_no_import_circle() -> None:
    modules = {name_of(file): inner_imports(file) for file in FILES if file.name != "__init__.py"}
    # Raises CycleError, which names the circle.
    list(TopologicalSorter(modules).static_order())


def test_no_two_files_of_one_name() -> None:
    names = Counter(file.name for file in FILES if file.name != "__init__.py")
    assert [name for name, count in names.items() if count > 1] == []


def test_what_a_package_touches_is_in_one_room() -> None:
    found = {
        f"{name_of(file)} imports {name}"
        for file in FILES
        for name in imports_of(file)
        if ONLY_IN.get(name.split(".")[0], room_of(name_of(file))) != room_of(name_of(file))
    }
    assert not found


def test_files_are_short() -> None:
    def lines(file: Path) -> int:
        return len(file.read_text("utf-8").splitlines())

    assert [file for file in FILES if lines(file) > 300] == []
    assert [script for script in SCRIPTS.glob("*.py") if lines(script) > 40] == []
    assert lines(ROOT / "workflow/rules/common.smk") <= 60
    assert sum(map(lines, (*RULES, ROOT / "Snakefile"))) <= 600


def test_the_version_of_the_citation_stands_in_the_changelog() -> None:
    version = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))["version"]
    assert f"\n## {version}" in (ROOT / "CHANGELOG.md").read_text("utf-8")


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


def test_hosted_workflows_call_targets_that_exist() -> None:
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text("utf-8"), re.M)
    for file in (ROOT / ".github/workflows").glob("*.yml"):
        jobs = yaml.safe_load(file.read_text("utf-8"))["jobs"].values()
        steps = [step for job in jobs for step in job["steps"]]
        called = re.findall(r"(?<!\w)make (\S+)", " ".join(step.get("run", "") for step in steps))
        assert set(called) <= set(targets), file

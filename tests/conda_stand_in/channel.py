"""Make a conda channel in a folder."""

import hashlib
import io
import json
import platform
import sys
import sysconfig
import tarfile
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from importlib.metadata import Distribution, distribution
from pathlib import Path, PurePosixPath
from typing import Any

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

# Names on conda-forge that differ from those on PyPI.
CONDA_NAMES = {"torch": "pytorch", "fastjsonschema": "python-fastjsonschema", "matplotlib": "matplotlib-base"}

PYTHON_X_Y = f"{sys.version_info.major}.{sys.version_info.minor}"
_SITE_PACKAGES = PurePosixPath("lib", f"python{PYTHON_X_Y}", "site-packages")


@dataclass(frozen=True)
class Package:
    """A conda package for linux-64.

    Attributes:
        build: build string, such as `cpu_0`.
        depends: match specifications, such as `python` and `__cuda`.
        links: files and folders of the package, each with what it is a link to.
        copies: files of the package, each with what it is a copy of.
    """

    name: str
    version: str
    build: str = "stand_in_0"
    build_number: int = 0
    depends: tuple[str, ...] = ()
    links: dict[PurePosixPath, Path] = field(default_factory=dict)
    copies: dict[PurePosixPath, Path] = field(default_factory=dict)


def write_channel(folder: Path, packages: Iterable[Package]) -> None:
    """A channel that holds the packages, and nothing else."""
    (folder / "noarch").mkdir(parents=True)
    (folder / "linux-64").mkdir()
    written = dict(_write(folder / "linux-64", package) for package in packages)
    for subdir, records in (("noarch", {}), ("linux-64", written)):
        index = {"info": {"subdir": subdir}, "packages": records, "packages.conda": {}, "repodata_version": 1}
        (folder / subdir / "repodata.json").write_text(json.dumps(index), "utf-8")


def conda_name(pypi_name: str) -> str:
    name = canonicalize_name(pypi_name)
    return CONDA_NAMES.get(name, name)


def running_python() -> Package:
    """The interpreter of this process: its launcher copied, the standard library as links."""
    base = Path(sys.base_prefix)
    library = Path(sysconfig.get_path("stdlib"))
    into = PurePosixPath("lib", library.name)
    launcher = PurePosixPath("bin", f"python{PYTHON_X_Y}")
    links = {
        into / entry.name: entry for entry in library.iterdir() if entry.name not in ("site-packages", "dist-packages")
    }
    # A launcher that finds its library beside itself needs it there.
    links |= {PurePosixPath("lib", file.name): file for file in (base / "lib").glob("libpython*.so*")}
    links |= {PurePosixPath("bin", name): Path(launcher.name) for name in ("python", "python3")}
    # Where Debian's Python looks.
    links[into / "dist-packages"] = Path("site-packages")
    return Package("python", platform.python_version(), links=links, copies={launcher: (base / launcher).resolve()})


def installed_packages(pypi_names: Iterable[str]) -> list[Package]:
    """These packages as this process can import them, with all that they depend on.

    Raises:
        PackageNotFoundError: one is not installed.
    """
    distributions = _with_dependencies(pypi_names)
    owners = Counter(top for found in distributions.values() for top in {file.parts[0] for file in _files(found)})
    return [
        Package(
            conda_name(name),
            found.version,
            depends=("python", *sorted({conda_name(needed) for needed in _needed(found)})),
            links={
                _SITE_PACKAGES / part: Path(str(found.locate_file(part)))
                # Of a folder that several have files in, the files.
                for part in {
                    file if owners[file.parts[0]] > 1 else PurePosixPath(file.parts[0]) for file in _files(found)
                }
            },
        )
        for name, found in distributions.items()
    ]


def _with_dependencies(pypi_names: Iterable[str]) -> dict[str, Distribution]:
    found: dict[str, Distribution] = {}
    open_names = list(pypi_names)
    while open_names:
        name = canonicalize_name(open_names.pop())
        if name not in found:
            found[name] = distribution(name)
            open_names += _needed(found[name])
    return found


def _needed(found: Distribution) -> Iterator[str]:
    for requirement in map(Requirement, found.requires or []):
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            yield requirement.name


def _files(found: Distribution) -> Iterator[PurePosixPath]:
    """What it has in site-packages; commands are excluded."""
    for file in found.files or []:
        if ".." not in file.parts and "__pycache__" not in file.parts:
            yield PurePosixPath(file)


def _write(subdir: Path, package: Package) -> tuple[str, dict[str, Any]]:
    """Write a package; its file name and its entry in the index."""
    record = {
        "name": package.name,
        "version": package.version,
        "build": package.build,
        "build_number": package.build_number,
        "depends": list(package.depends),
        "subdir": "linux-64",
        "timestamp": 0,
    }
    file = subdir / f"{package.name}-{package.version}-{package.build}.tar.bz2"
    with tarfile.open(file, mode="w:bz2", compresslevel=1) as archive:
        names = "\n".join(map(str, [*package.links, *package.copies]))
        for name, text in (("index.json", json.dumps(record)), ("files", names), ("about.json", "{}")):
            member = tarfile.TarInfo(f"info/{name}")
            member.size = len(text.encode())
            archive.addfile(member, io.BytesIO(text.encode()))
        for path, target in package.links.items():
            member = tarfile.TarInfo(str(path))
            member.type, member.linkname = tarfile.SYMTYPE, str(target)
            archive.addfile(member)
        for path, source in package.copies.items():
            archive.add(source, str(path))
    data = file.read_bytes()
    return file.name, record | {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}


def pinned(env_file: Path) -> dict[str, str]:
    """Version by conda name of what an env file pins, of conda or of pip."""
    versions: dict[str, str] = {}
    for entry in yaml.safe_load(env_file.read_text("utf-8"))["dependencies"]:
        if isinstance(entry, dict):
            versions |= {conda_name(name): version for name, version in (line.split("==") for line in entry["pip"])}
        elif entry != "pip":
            versions |= [entry.split("=")]
    return versions

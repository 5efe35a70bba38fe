"""Files and folders that grid files and commands name."""

import os
import re
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROJECT = Path(__file__).parents[4]
_HUB_FILE = re.compile(r"([A-Za-z0-9][\w.-]*/[\w.-]+)/(.+)@([0-9a-f]{40})")


@dataclass(frozen=True)
class HubFile:
    """A file of a repository on the Hugging Face hub, at a commit."""

    repository: str
    path: str
    commit: str


def hub_file(name: str) -> HubFile | None:
    """The file that OWNER/NAME/PATH@COMMIT names; None where it is a path of this machine."""
    match = _HUB_FILE.fullmatch(name)
    return HubFile(*match.groups()) if match else None


def named_path(name: str | Path) -> Path:
    """Where a named file or folder lies: seen from the working directory (`--directory`), or else the project's."""
    named = Path(name)
    # Of ~somebody whom this machine does not know, or where there is no home.
    with suppress(RuntimeError):
        named = named.expanduser()
    in_project = PROJECT / named
    # Unlike those of a Path, they raise nothing for names that no file can have.
    return in_project if os.path.exists(in_project) and not os.path.exists(named) else named


def is_stream(path: Path) -> bool:
    """Whether it is a pipe or a device, which may never end or cannot be read twice."""
    return path.exists() and not path.is_file() and not path.is_dir()


def unwritable(folders: Iterable[str]) -> list[str]:
    """Those of the folders in which this user can make no file; of one that is not there, which cannot be made."""
    return [folder for folder in folders if not _is_writable(Path(folder).absolute())]


def _is_writable(folder: Path) -> bool:
    there = next(path for path in (folder, *folder.parents) if path.exists() or path.is_symlink())
    return there.is_dir() and os.access(there, os.W_OK | os.X_OK)

"""Keep secrets, and the names of people and machines, out of what is shared.

What is looked for is what this process knows when it first looks: its environment, the account that it runs under, the
machine's name, the hub's token file. Two strengths, since a name can be a word:

    redacted          for anything. Secrets become ***, home folders ~, and names of accounts and machines *** where
                      they are a part of a path or of an address (alice@, @node7). A prompt keeps its other words.
    redacted_message  for what software says (errors, logs): also names that stand alone, if they have four
                      characters or more and are no common word. Nobody is named by `root`, and texts say `gpu`.
"""

import os
import pwd
import re
import socket
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

# TOKENIZERS_PARALLELISM holds no secret.
_SECRET_VARIABLE = re.compile(
    r"TOKEN(?!IZER)|SECRET|PASSW|PASSPHRASE|CREDENTIAL|COOKIE|API_?KEY|(?:^|_)(?:KEY|PAT)(?:_|$)", re.IGNORECASE
)
_ACCOUNT_VARIABLES = ("USER", "LOGNAME", "USERNAME", "SUDO_USER", "SLURM_JOB_USER")
_MACHINE_VARIABLES = ("HOSTNAME", "HOST", "SLURMD_NODENAME", "SLURM_SUBMIT_HOST")
# Shorter values (1, true, none) are also words and figures of the text.
_SHORTEST_SECRET, _SHORTEST_NAME = 6, 4
# Accounts and machines that share their name with thousands of others, and with words of any log.
_COMMON_NAME = re.compile(
    "admin|administrator|builder?|cuda|data|debian|default|docker|guest|home|host|jovyan|linux|localhost|machine|main|"
    "mambauser|models?|nobody|node|none|nvidia|python|root|runner|server|service|system|tests?|torch|ubuntu|unknown|"
    "users?|vagrant|work|worker|workspace",
    re.IGNORECASE,
)
_WELL_KNOWN_TOKENS = re.compile(
    r"\bhf_[A-Za-z0-9]{20,}|\bgh[oprsu]_[A-Za-z0-9]{20,}|\bAKIA[A-Z0-9]{16}\b|(?<=Bearer )[\w.~+/=-]{8,}"
)
_URL_LOGIN = re.compile(r"(?<=://)[^/\s@]+@")
# Of a name: alice is in alice.log and in job-alice_2, and not in malice.
_BEGINS, _ENDS = "(?<![A-Za-z0-9])", "(?![A-Za-z0-9])"
_HIDDEN = "***"


def is_secret_name(name: str) -> bool:
    """Whether an environment variable of this name holds a secret."""
    return _SECRET_VARIABLE.search(name) is not None


def redacted(value: Any) -> Any:
    """The value with nothing private, and no lone surrogate, in any text of it."""
    if isinstance(value, dict):
        return {redacted(key): redacted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [redacted(item) for item in value]
    if not isinstance(value, str):
        return value
    # File names can hold what is no text. No file of ours could be written with it.
    text = value.encode("utf-8", "backslashreplace").decode("utf-8")
    for pattern, instead in _rules()[0]:
        text = pattern.sub(instead, text)
    return text


def redacted_message(text: str) -> str:
    """What software said, as `redacted`, and without the names of accounts and machines that stand alone in it."""
    return _rules()[1].sub(_HIDDEN, redacted(text))


@cache
def _rules() -> tuple[list[tuple[re.Pattern[str], str]], re.Pattern[str]]:
    """What this process must not tell, with what stands instead, in order; and the names that must not stand alone."""
    names, homes = _names(), _homes()
    # A home of one name is another folder within a longer path: /mnt/server is not /server.
    roots = [re.escape(folder) if folder.count("/") > 1 else rf"(?<![\w.-]){re.escape(folder)}" for folder in homes]
    alone = [re.escape(name) for name in names if len(name) >= _SHORTEST_NAME and not name.isdecimal()]
    parts = [re.escape(name) for name in names]
    in_paths = [rf"(?<=[/\\@]){part}" for part in parts] + [rf"{part}(?=@)" for part in parts]
    anywhere = [
        (_any_of([re.escape(secret) for secret in _secrets()]), _HIDDEN),
        (_WELL_KNOWN_TOKENS, _HIDDEN),
        (_URL_LOGIN, f"{_HIDDEN}@"),
        (_any_of(roots, after=_ENDS), "~"),
        (_any_of(in_paths, _BEGINS, _ENDS), _HIDDEN),
    ]
    return anywhere, _any_of(alone, _BEGINS, _ENDS)


def _any_of(patterns: list[str], before: str = "", after: str = "") -> re.Pattern[str]:
    """One pattern for all, the longest first, since one may begin another; of none, one that is never met."""
    if not patterns:
        return re.compile("(?!)")
    ordered = sorted(patterns, key=lambda pattern: (-len(pattern), pattern))
    return re.compile(f"{before}(?:{'|'.join(ordered)}){after}", re.IGNORECASE)


def _secrets() -> set[str]:
    values = [value for name, value in os.environ.items() if is_secret_name(name)]
    # Where huggingface_hub keeps the token of `hf auth login`.
    cache_folder = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    token_file = Path(os.environ.get("HF_HOME") or f"{cache_folder}/huggingface", "token")
    with suppress(OSError):
        values.append(Path(os.environ.get("HF_TOKEN_PATH", token_file)).read_text("utf-8", "replace"))
    # A key of many lines is met line by line in a log, and in a URL it is quoted.
    lines = {line.strip() for value in values for line in value.splitlines()}
    lines |= {quote(line, safe="") for line in lines}
    return {line for line in lines if len(line) >= _SHORTEST_SECRET}


def _homes() -> set[str]:
    given = {os.environ.get("HOME"), _account()[1]}
    folders = {os.path.normpath(folder) for folder in given if folder and os.path.isabs(folder)}
    folders |= {os.path.realpath(folder) for folder in folders}
    # Accounts of services have / or no folder at all.
    return folders - {"/"}


def _names() -> set[str]:
    accounts = {os.environ.get(name) for name in _ACCOUNT_VARIABLES} | {_account()[0]}
    machines = {os.environ.get(name) for name in _MACHINE_VARIABLES} | {socket.gethostname()}
    machines |= {name.split(".")[0] for name in machines if name}
    return {name for name in accounts | machines if name and not _COMMON_NAME.fullmatch(name)}


def _account() -> tuple[str | None, str | None]:
    """Name and home folder of the account, which need not be those of the environment."""
    try:
        entry = pwd.getpwuid(os.getuid())
    except KeyError:
        return None, None
    return entry.pw_name, entry.pw_dir

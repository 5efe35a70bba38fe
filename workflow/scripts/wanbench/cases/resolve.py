"""From the sections of a grid file to resolved, checked cases."""

import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path
from typing import Any

from wanbench.cases.case import Case
from wanbench.cases.checkpoint_folder import checkpoint_problem
from wanbench.cases.checks import CHECKS, Settings, check_effect
from wanbench.cases.grid import expand_grid
from wanbench.cases.scale import scale_written
from wanbench.cases.schema import check, not_allowed, problems_of, shown
from wanbench.cases.yaml_file import read_yaml
from wanbench.models.facts import MODELS
from wanbench.registry.settings import MODEL, ROWS
from wanbench.util.digests import checkpoint_digest, sha256_of, sha256_of_file
from wanbench.util.errors import InputError
from wanbench.util.paths import hub_file, named_path
from wanbench.util.text import one_line

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_Written = dict[str, Any]
_WRONG = object()
_DEFAULTS = {row.key: row.default for row in ROWS if row.default is not MODEL and row.key != "model"}
_CONDITIONAL = [row for row in ROWS if row.only_with]
_REALS = [row.key for row in ROWS if row.type == "real"]


def read_cases(file: str) -> dict[str, Case]:
    """The cases of a grid file by name, sorted: another order in the file changes nothing. Errors: `resolve_cases`."""
    return dict(sorted((case.name, case) for case in resolve_cases(read_yaml(named_path(file)), file)))


def resolve_cases(content: dict[str, Any], file: str) -> list[Case]:
    """All cases of a grid file, `cases` first, then `grid`, each with every key filled in.

    Raises:
        InputError: all that is not allowed, one line each, beginning with the name of the file.
    """
    written, defaults, problems = _read(content, file)
    cases: list[Case] = []
    # However many cases use an image or a checkpoint, it is read once.
    digest_of = cache(lambda path: checkpoint_digest(path) if path.is_dir() else sha256_of_file(path))
    find = partial(_find_checkpoint, problem_of=cache(checkpoint_problem))
    for name, own in written.items():
        settings, wrong = _checked(own, defaults, find)
        problems += [f"{file}: case {name!r}: {problem}" for problem in wrong]
        if not problems:
            cases.append(_case(name, settings, digest_of))
    if problems:
        raise InputError("\n".join(_once(problems)))
    return cases


def _once(lines: list[str]) -> list[str]:
    """Lines of which the same list of allowed keys stands in the first alone."""
    said: set[str] = set()
    short = []
    for line in lines:
        problem, _, allowed = line.partition("; allowed: ")
        short.append(problem if allowed.count(",") > 9 and allowed in said else line)
        said.add(allowed)
    return short


def case_names(content: dict[str, Any], file: str) -> list[str]:
    """Names of all cases of a grid file whose images and checkpoints may be elsewhere.

    Raises:
        InputError: what is wrong with the file's form, one line each.
    """
    written, _, problems = _read(content, file)
    if problems:
        raise InputError("\n".join(problems))
    return list(written)


def _read(content: dict[str, Any], file: str) -> tuple[dict[str, _Written], _Written, list[str]]:
    """Settings as they are written, by name of the case and for all, and lines of what is wrong.

    In the place of a value that the schema refuses stands _WRONG.
    """
    found = problems_of(content, file)
    lines = [problem.line for problem in found]
    wrong = {problem.path[: 2 if problem.path[:1] == ("defaults",) else 3] for problem in found}
    if {(), ("defaults",)} & wrong:
        raise InputError("\n".join(lines))

    def marked(settings: Mapping[str, Any] | None, *path: Any) -> dict[str, Any]:
        return {key: _WRONG if (*path, key) in wrong else value for key, value in (settings or {}).items()}

    written = {} if ("cases",) in wrong else content.get("cases") or {}
    cases = {name: marked(written[name], "cases", name) for name in written if ("cases", name) not in wrong}
    defaults = marked(content.get("defaults"), "defaults")
    if content.get("grid") and not any(path[:1] == ("grid",) for path in wrong):
        try:
            cases |= _grid_cases(content["grid"], cases, file, defaults)
        except InputError as error:
            lines.append(str(error))
    first: dict[str, str] = {}
    for name in cases:
        if (other := first.setdefault(name.lower(), name)) != name:
            allowed = "names of which some disks do not take one for another"
            lines.append(f"{file}: case {name!r} differs from {other!r} in capitals alone; allowed: {allowed}")
    if not cases and not lines:
        raise InputError(f"{file}: no cases; allowed: at least one under cases, or a grid that is not all excluded")
    return cases, defaults, lines


def _grid_cases(grid: dict[str, Any], taken: Mapping[str, Any], file: str, defaults: _Written) -> dict[str, _Written]:
    cases = {}
    for name, settings in expand_grid(grid, f"{file}: grid").items():
        without = _without_effect(defaults | settings)
        # Of several values without an effect, the first stands for all.
        if all(settings[key] == grid["axes"][key][0] for key in without if key in grid["axes"]):
            cases[name] = {key: value for key, value in settings.items() if key not in without}
    for name in cases:
        check(name, f"{file}: grid: name", "case_name")
        if name in taken:
            raise InputError(f"{file}: case {name!r} stands in cases and comes out of grid; names must differ")
    return cases


def _without_effect(given: _Written) -> set[str]:
    """Keys of a grid's case that have no effect beside its others, such as those of another model."""
    if given.get("model") not in MODELS:
        return set()
    values = _DEFAULTS | MODELS[given["model"]].defaults() | given
    return {row.key for row in _CONDITIONAL if row.key in given and not row.has_effect(values)}


def _checked(
    own: dict[str, Any], defaults: dict[str, Any], find_checkpoint: Callable[[Settings], None]
) -> tuple[Settings, list[str]]:
    """Settings of a case, but those that are wrong, and each mistake that the schema does not see, by its key."""
    given = defaults | own
    problems = [] if "model" in given else [f"model is missing; allowed: {', '.join(MODELS)}"]
    of_model = MODELS[given["model"]].defaults() | {"revision": None} if given.get("model") in MODELS else {}
    values = _DEFAULTS | of_model | given
    settings = {key: value for key, value in values.items() if value is not _WRONG}
    own = {key: value for key, value in own.items() if value is not _WRONG}
    effects = [(row.key, partial(check_effect, row=row, own=own)) for row in _CONDITIONAL]
    for key, check_setting in (*effects, ("checkpoint", find_checkpoint), *CHECKS):
        try:
            check_setting(settings)
        except KeyError:
            settings.pop(key, None)
        except InputError as error:
            problems.append(str(error))
            settings.pop(key, None)
        except (OSError, ValueError) as error:
            # Of names that no file can have: too long, or with characters that no file system takes.
            problem = one_line(f"cannot be read: {error.strerror if isinstance(error, OSError) else error}", 100)
            problems.append(f"{key}: {shown(settings.pop(key))} {problem}")
    return settings, problems


def _find_checkpoint(settings: Settings, problem_of: Callable[[Path, str], str | None]) -> None:
    """Check where the weights come from, and set the revision of a model's own hub id."""
    checkpoint, revision = settings["checkpoint"], settings["revision"]
    if checkpoint is None:
        return
    facts, folder = MODELS[settings["model"]], named_path(checkpoint)
    if folder.is_dir():
        if problem := problem_of(folder, settings["model"]):
            raise InputError(f"checkpoint: {shown(checkpoint)} {problem}")
        if revision is not None:
            raise not_allowed("revision", revision, "none for a folder; only a hub id has revisions")
    # One that this project writes need not be there yet: other cases of the grid do not need it, nor does its own rule.
    elif not scale_written(checkpoint):
        if not _HUB_ID.fullmatch(checkpoint):
            allowed = f"a folder that exists, or a hub id such as {facts.hub_id}"
            raise not_allowed("checkpoint", checkpoint, allowed)
        if revision is None and checkpoint != facts.hub_id:
            raise InputError(
                f"checkpoint: {shown(checkpoint)} is no folder here, and as a hub id it lacks its revision; "
                "allowed: a folder that exists, or a hub id with a revision (a commit, 40 hex digits)"
            )
        settings["revision"] = revision or facts.revision


def _case(name: str, settings: Settings, digest_of: Callable[[Path], str]) -> Case:
    values, facts = {row.key: settings[row.key] for row in ROWS}, MODELS[settings["model"]]
    guidance = values["guidance"]
    scales = guidance if isinstance(guidance, list) else [guidance] * len(facts.guidance)
    # One type each, since 5 and 5.0 are the same setting and must not run a case again.
    values |= {key: float(values[key]) for key in _REALS if values[key] is not None}
    values["guidance"] = tuple(float(scale) for scale in scales)
    # Written so that the report can rely on it: official sizes are never marked as unofficial.
    values["unofficial_size"] = values["size"] not in facts.sizes
    for key in ("image", "lora", "lora_low_noise"):
        if (place := values[key]) is not None:
            # A commit holds the content still.
            values[f"{key}_sha256"] = sha256_of(place) if hub_file(place) else digest_of(named_path(place))
    if values["checkpoint"] is not None and (folder := named_path(values["checkpoint"])).is_dir():
        values["checkpoint_sha256"] = digest_of(folder)
    return Case(name=name, **values)

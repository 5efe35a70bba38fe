"""Read traces, and refuse by name what is not one."""

import gzip
import hashlib
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema
import orjson

from wanbench.registry.settings import completed
from wanbench.registry.stages import SCHEMA_VERSION
from wanbench.trace.consistency import contradictions
from wanbench.trace.writer import CHECKSUM
from wanbench.util.errors import InputError
from wanbench.util.text import one_line

_NUMBERS = (int, float)
# What a column of whole numbers can hold (2**63 - 1), rounded down. Larger figures are none that anybody measured.
_LEAST, _LARGEST = -9e18, 9e18
SCHEMA_FILE = Path(__file__).parents[3] / "schemas" / "trace.schema.json"


@dataclass(frozen=True)
class StageRecord:
    """A stage of one generation.

    Attributes:
        measured: figures are made of its generation, or it is of none.
        excluded: failed checks for which its generation is excluded, with blanks between them; None if it is not.
        measures: values by measure, the unit in the key; a measure that was not taken is not in it.
    """

    name: str
    generation: int | None
    measured: bool
    start_s: float
    extent_s: float
    measures: dict[str, Any]
    excluded: str | None = None


@dataclass(frozen=True)
class DetailRecord:
    """A part of a stage, such as one classifier-free guidance pass."""

    name: str
    generation: int | None
    start_s: float
    time_s: float


@dataclass(frozen=True)
class Readings:
    """One line of a counter track: when it was read, in seconds since the start of the process, and what it said."""

    times_s: list[float]
    values: list[float]


@dataclass(frozen=True)
class Trace:
    """A whole, checked trace. Keys of the dictionaries are those of the schema."""

    status: str
    case: dict[str, Any]
    digests: dict[str, str]
    git_commit: str | None
    git_dirty: bool | None
    started_at: str
    total_duration_s: float
    error: dict[str, Any] | None
    applied: dict[str, Any] | None
    environment: dict[str, Any] | None
    quality: dict[str, Any]
    video_bytes: int | None
    stages: list[StageRecord]
    details: list[DetailRecord]
    # Absent from older traces.
    ran: dict[str, Any] | None = None
    git_changed: str | None = None
    image_changes: str | None = None
    kept: dict[str, Any] | None = None


def read_trace(path: Path) -> Trace:
    """A trace file, checked; one that ends in .gz is decompressed.

    Raises:
        InputError: by file and key, what is wrong, of another schema, or changed after it was measured.
    """
    return _trace(_checked(path)[0])


def read_counters(path: Path) -> dict[str, dict[str, Readings]]:
    """The samples of a trace file by counter track and line, such as 'GPU power (W)' and 'power'.

    Apart from `read_trace`, since tables need none of it and samples are nearly all of a trace. Raises as that.
    """
    tracks: dict[str, dict[str, Readings]] = {}
    for event in _checked(path)[1]:
        for line, value in event["args"].items():
            readings = tracks.setdefault(event["name"], {}).setdefault(line, Readings([], []))
            readings.times_s.append(event["ts"] / 1e6)
            readings.values.append(float(value))
    return tracks


def _checked(path: Path) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """What a trace file holds, as its schema says, without its counter events; and these."""
    try:
        data = gzip.decompress(path.read_bytes()) if path.suffix == ".gz" else path.read_bytes()
        # A third of the time of json.loads; it refuses NaN and half a pair of surrogates, which no file could hold.
        content = orjson.loads(data)
        counters = _without_counters(content)
        _validator()(content)
        content["case"] = completed(content["case"])
        _check_counters(counters)
        checksum = CHECKSUM.format(content["sha256"]).encode()
        measured = memoryview(data)[: -len(checksum)]
        if not data.endswith(checksum) or hashlib.sha256(measured).hexdigest() != content["sha256"]:
            raise InputError("sha256: the file was changed after it was measured")
        for error in contradictions(content):
            raise InputError(error)
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        problem = f"not valid gzip: {error}"
    except OSError as error:
        problem = f"cannot be read: {error.strerror}"
    except fastjsonschema.JsonSchemaValueException as error:
        problem = _readable(error)
    except RecursionError:
        # Of what nests as deep as can just be read, the beginning cannot be shown.
        problem = "nests too deep"
    except ValueError as error:
        problem = f"not valid JSON: {error}"
    except InputError as error:
        problem = str(error)
    else:
        return content, counters
    raise InputError(f"{path}: {one_line(problem, 300)}")


def _without_counters(content: Any) -> list[dict[str, Any]]:
    """The counter events, which are taken out of the content."""
    if not isinstance(content, dict):
        raise InputError("is no trace: not a JSON object")
    version = content.get("schema_version")
    if version != SCHEMA_VERSION:
        raise InputError(f"schema_version: {repr(version)[:80]} is not supported; allowed: {SCHEMA_VERSION}")
    events = content.get("traceEvents")
    if not isinstance(events, list):
        return []
    counters: list[dict[str, Any]] = []
    content["traceEvents"] = others = []
    for event in events:
        (counters if isinstance(event, dict) and event.get("ph") == "C" else others).append(event)
    return counters


def _check_counters(counters: list[dict[str, Any]]) -> None:
    """What a schema would check, in a tenth of the time: counters are nearly all of a trace."""
    latest_us: dict[str, float] = {}
    for event in counters:
        name, time_us, lines = event.get("name"), event.get("ts"), event.get("args")
        if type(name) is not str or type(time_us) not in _NUMBERS or type(lines) is not dict:
            raise InputError(f"traceEvents: a counter needs a name, a number ts and args, got {str(event)[:80]}")
        where = f"traceEvents: counter {name[:80]!r} at {time_us}"
        if any(type(value) not in _NUMBERS or not _LEAST <= value <= _LARGEST for value in lines.values()):
            raise InputError(f"{where}: args must be numbers, up to {_LARGEST:.0e}, got {str(lines)[:80]}")
        if not latest_us.get(name, 0) <= time_us <= _LARGEST:
            raise InputError(f"{where}: ts must rise from 0, up to {_LARGEST:.0e}")
        latest_us[name] = time_us


@cache
def _validator() -> Callable[[Any], Any]:
    return fastjsonschema.compile(_bounded(orjson.loads(SCHEMA_FILE.read_bytes())), use_default=False)


def _bounded(schema: Any) -> Any:
    """The schema with bounds for every number: JSON has none, and columns of tables have."""
    if isinstance(schema, list):
        return [_bounded(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    kinds = schema.get("type", "")
    bounds = {"minimum": _LEAST, "maximum": _LARGEST} if "integer" in kinds or "number" in kinds else {}
    return bounds | {key: _bounded(value) for key, value in schema.items()}


def _readable(error: fastjsonschema.JsonSchemaValueException) -> str:
    key = str(error.name).removeprefix("data").removeprefix(".") or "the file"
    if error.rule == "required":
        return f"{key}: {next(name for name in error.rule_definition if name not in error.value)} is missing"
    return f"{key}: {error.message.removeprefix(str(error.name)).strip()}, got {str(error.value)[:80]!r}"


def _trace(content: dict[str, Any]) -> Trace:
    stages: list[StageRecord] = []
    details: list[DetailRecord] = []
    for event in content["traceEvents"]:
        if event.get("cat") in ("stage", "detail"):
            name, args, start_s, extent_s = event["name"], dict(event["args"]), event["ts"] / 1e6, event["dur"] / 1e6
            generation = args.pop("generation", None)
            if event["cat"] == "stage":
                stages.append(StageRecord(name, generation, args.pop("measured"), start_s, extent_s, args))
            else:
                details.append(DetailRecord(name, generation, start_s, extent_s))
    of_trace = {key: value for key, value in content.items() if key in Trace.__dataclass_fields__}
    return Trace(stages=stages, details=details, **of_trace)

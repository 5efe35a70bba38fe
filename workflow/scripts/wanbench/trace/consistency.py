"""What a schema cannot say of a trace: its parts agree with each other.

Nothing here is a matter of limits: whatever contradicts itself was not measured so.
"""

from collections.abc import Iterator, Mapping
from itertools import chain, pairwise
from typing import Any

from wanbench.registry import stages as stage_names

_Key = tuple[str, int | None]
_Stages = dict[_Key, Mapping[str, Any]]

_OF_NO_GENERATION = (stage_names.PROCESS_STARTUP, stage_names.TOTAL_EXECUTION, stage_names.MODEL_INITIALIZATION)
# Waits for weights are timed by events of the GPU, whose clock is matched to the host's to some microseconds.
_TOLERANCE_US = 1000.0
_OF_TOTAL_EXECUTION = ("sample_coverage_pct", "greatest_sample_gap_s", "stage_coverage_pct", "unaccounted_s")
_SEEN_IN_PARTS = ("other_processes", "throttled_pct")


def contradictions(content: Mapping[str, Any]) -> Iterator[str]:
    """Each thing in which a trace contradicts itself, with its key.

    Args:
        content: as the schema allows it; counter events may be missing.
    """
    case, is_ok = content["case"], content["status"] == stage_names.OK
    if is_ok != (content["error"] is None):
        yield f"error: must be null with status 'ok' and only then, status is {content['status']!r}"
    stages: _Stages = {}
    for i, event in enumerate(content["traceEvents"]):
        if event.get("cat") == "stage":
            if _end_us(event) > content["total_duration_s"] * 1e6 + _TOLERANCE_US:
                yield f"total_duration_s: {event['name']!r} ends after it, got {content['total_duration_s']}"
            yield from (f"traceEvents[{i}].{error}" for error in _errors_of_stage(event, stages, case, is_ok))
            stages[event["name"], event["args"]["generation"]] = event
    missing = _missing(stages, case) if is_ok else iter(())
    yield from (f"traceEvents: {error}" for error in chain(missing, _out_of_order(stages), _out_of_place(stages)))
    yield from _known_apart(content["quality"], (stage_names.TOTAL_EXECUTION, None) in stages)


def _errors_of_stage(event: Mapping[str, Any], before: _Stages, case: Mapping[str, Any], is_ok: bool) -> Iterator[str]:
    name, args = event["name"], event["args"]
    generation, step = args["generation"], stage_names.step_index(name)
    generations = case["warmup"] + case["repeats"]
    if not stage_names.is_stage(name):
        yield f"name: {name!r} is no stage of this schema"
    if (generation is None) != (name in _OF_NO_GENERATION):
        yield f"args.generation: {name!r} is of {'a' if generation is None else 'no'} generation, got {generation}"
    if (name, generation) in before:
        yield f"name: {name!r} stands twice in generation {generation}"
    if generation is not None and generation >= generations:
        yield f"args.generation: the case has {generations} generations from 0, got {generation}"
    if args["measured"] != (generation is None or generation >= case["warmup"]):
        yield f"args.measured: a stage is measured unless its generation is a warm-up, got {args['measured']}"
    if args.get("step") != step:
        yield f"args.step: must be {step} in {name!r}, got {args.get('step')}"
    if args.get("interrupted") and is_ok:
        yield f"args.interrupted: {name!r} of a case that ended well ran to its end"
    if name == stage_names.TOTAL_EXECUTION and not args["time_s"]:
        yield f"args.time_s: {name!r} takes time, got 0"


def _missing(stages: _Stages, case: Mapping[str, Any]) -> Iterator[str]:
    parts = (stage_names.step_loading, stage_names.step_inference)
    steps = [part(i) for i in range(case["steps"]) for part in parts]
    names = [
        stage_names.PREPROCESS,
        stage_names.TEXT_ENCODING,
        *steps,
        stage_names.VAE_DECODING,
        stage_names.VIDEO_EXPORT,
    ]
    expected: list[_Key] = [(name, None) for name in _OF_NO_GENERATION]
    expected += [(name, number) for number in range(case["warmup"] + case["repeats"]) for name in names]
    yield from (f"{_label(key)} is missing, and the case ended well" for key in expected if key not in stages)


def _out_of_order(stages: _Stages) -> Iterator[str]:
    """Stages that follow each other: what lies in another stage, or around others, is none of them."""
    around = (stage_names.TEXT_ENCODING, stage_names.COMPILATION, stage_names.TOTAL_EXECUTION)
    following = [key for key in stages if key[0] not in around and not stage_names.is_step_loading(key[0])]
    following.sort(key=lambda key: (-1 if key[1] is None else key[1], stage_names.stage_order(key[0])))
    first_and_total: tuple[_Key, _Key] = ((stage_names.PROCESS_STARTUP, None), (stage_names.TOTAL_EXECUTION, None))
    pairs = [*pairwise(following), *([first_and_total] if stages.keys() >= {*first_and_total} else [])]
    for before, after in pairs:
        if stages[after]["ts"] < _end_us(stages[before]) - _TOLERANCE_US:
            yield f"{_label(after)} begins before {_label(before)} has ended: time goes back"


def _out_of_place(stages: _Stages) -> Iterator[str]:
    """Stages that lie in others, and do not."""
    for key, event in stages.items():
        for outer in _around(*key):
            around = stages.get(outer)
            if around is None:
                yield f"{_label(outer)} is missing, in which {_label(key)} lies"
            elif max(around["ts"] - event["ts"], _end_us(event) - _end_us(around)) > _TOLERANCE_US:
                yield f"{_label(key)} does not lie in {_label(outer)}"
        begun = stages.get((stage_names.PREPROCESS, key[1]))
        if begun is not None and begun["ts"] - event["ts"] > _TOLERANCE_US:
            yield f"{_label(key)} begins before its generation"


def _around(name: str, generation: int | None) -> Iterator[_Key]:
    index = stage_names.step_index(name)
    if name == stage_names.TEXT_ENCODING:
        yield stage_names.PREPROCESS, generation
    if index is not None and stage_names.is_step_loading(name):
        yield stage_names.step_inference(index), generation
    if name not in stage_names.NOT_LEAVES:
        yield stage_names.TOTAL_EXECUTION, None


def _end_us(event: Mapping[str, Any]) -> float:
    return event["ts"] + event["dur"]


def _label(key: _Key) -> str:
    name, generation = key
    return repr(name) if generation is None else f"{name!r} of generation {generation}"


def _known_apart(quality: Mapping[str, Any], reached: bool) -> Iterator[str]:
    """Values that are known together, or not at all."""
    total, parts = stage_names.TOTAL_EXECUTION, quality.get("parts")
    for key in _OF_TOTAL_EXECUTION:
        if (quality[key] is not None) != reached:
            yield f"quality.{key}: must be null without {total!r} and only then, got {quality[key]}"
    for key in _SEEN_IN_PARTS if parts else ():
        if (quality.get(key) is None) != all(part[key] is None for part in parts):
            yield f"quality.{key}: must be null where quality.parts have none and only then, got {quality.get(key)}"

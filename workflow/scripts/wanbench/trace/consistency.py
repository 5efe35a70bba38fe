"""What a schema cannot say of a trace: its parts agree with each other.

Nothing here is a matter of limits: whatever contradicts itself was not measured so.
"""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from wanbench.registry import stages as stage_names

Stages = Mapping[tuple[str, int | None], Mapping[str, Any]]

_OF_NO_GENERATION = (stage_names.PROCESS_STARTUP, stage_names.TOTAL_EXECUTION, stage_names.MODEL_INITIALIZATION)
# Waits for weights are timed by events of the GPU, whose clock is matched to the host's to some microseconds.
_TOLERANCE_US = 1000.0
_OF_TOTAL_EXECUTION = ("sample_coverage_pct", "greatest_sample_gap_s", "stage_coverage_pct", "unaccounted_s")
_SEEN_IN_PARTS = ("other_processes", "throttled_pct")


def contradiction(content: Mapping[str, Any]) -> str | None:
    """The first thing in which a trace contradicts itself, with its key; None where nothing does.

    Args:
        content: as the schema allows it; counter events may be excluded.
    """
    return next(_contradictions(content), None)


def _contradictions(content: Mapping[str, Any]) -> Iterator[str]:
    if (content["status"] == stage_names.OK) != (content["error"] is None):
        yield f"error: must be null with status 'ok' and only then, status is {content['status']!r}"
    stages: dict[tuple[str, int | None], Mapping[str, Any]] = {}
    for i, event in enumerate(content["traceEvents"]):
        if event.get("cat") == "stage":
            if _end_us(event) > content["total_duration_s"] * 1e6 + _TOLERANCE_US:
                yield f"total_duration_s: {event['name']!r} ends after it, got {content['total_duration_s']}"
            yield from (f"traceEvents[{i}].{fault}" for fault in _faults_of_stage(event, stages, content))
            stages[event["name"], event["args"]["generation"]] = event
    if content["status"] == stage_names.OK:
        yield from _missing(stages, content["case"])
    yield from _out_of_order(stages)
    yield from _out_of_place(stages)
    yield from _apart(content["quality"], (stage_names.TOTAL_EXECUTION, None) in stages)


def _faults_of_stage(event: Mapping[str, Any], others: Stages, content: Mapping[str, Any]) -> Iterator[str]:
    name, args, case = event["name"], event["args"], content["case"]
    generation = args["generation"]
    if not stage_names.is_stage(name):
        yield f"name: {name!r} is no stage of this schema"
    if (generation is None) != (name in _OF_NO_GENERATION):
        yield f"args.generation: {name!r} is of {'a' if generation is None else 'no'} generation, got {generation}"
    if (name, generation) in others:
        yield f"name: {name!r} stands twice in generation {generation}"
    if generation is not None and generation >= case["warmup"] + case["repeats"]:
        yield f"args.generation: the case has {case['warmup'] + case['repeats']} generations from 0, got {generation}"
    if args["measured"] != (generation is None or generation >= case["warmup"]):
        yield f"args.measured: a stage is measured unless its generation is a warm-up, got {args['measured']}"
    if args.get("step") != stage_names.step_index(name):
        yield f"args.step: must be {stage_names.step_index(name)} in {name!r}, got {args.get('step')}"
    if args.get("interrupted") and content["status"] == stage_names.OK:
        yield f"args.interrupted: {name!r} of a case that ended well ran to its end"
    if name == stage_names.TOTAL_EXECUTION and not args["time_s"]:
        yield f"args.time_s: {name!r} takes time, got 0"


def _missing(stages: Stages, case: Mapping[str, Any]) -> Iterator[str]:
    of_steps = [
        part(i) for i in range(case["steps"]) for part in (stage_names.step_loading, stage_names.step_inference)
    ]
    of_generation = (
        stage_names.PREPROCESS,
        stage_names.TEXT_ENCODING,
        *of_steps,
        stage_names.VAE_DECODING,
        stage_names.VIDEO_EXPORT,
    )
    expected = [(name, None) for name in _OF_NO_GENERATION]
    expected += [(name, number) for number in range(case["warmup"] + case["repeats"]) for name in of_generation]
    for key in expected:
        if key not in stages:
            yield f"traceEvents: {_label(key)} is missing, and the case ended well"


def _out_of_order(stages: Stages) -> Iterator[str]:
    """Stages that follow each other: what lies in another stage, or around others, is none of them."""
    around = (stage_names.TEXT_ENCODING, stage_names.COMPILATION, stage_names.TOTAL_EXECUTION)
    following = [key for key in stages if key[0] not in around and not key[0].endswith("_Loading")]
    following.sort(key=lambda key: (-1 if key[1] is None else key[1], stage_names.stage_order(key[0])))
    pairs = list(pairwise(following))
    if (stage_names.PROCESS_STARTUP, None) in stages and (stage_names.TOTAL_EXECUTION, None) in stages:
        pairs.append(((stage_names.PROCESS_STARTUP, None), (stage_names.TOTAL_EXECUTION, None)))
    for before, after in pairs:
        if stages[after]["ts"] < _end_us(stages[before]) - _TOLERANCE_US:
            yield f"traceEvents: {_label(after)} begins before {_label(before)} has ended: time goes back"


def _out_of_place(stages: Stages) -> Iterator[str]:
    """Stages that lie in others, and do not."""
    for key, event in stages.items():
        for outer in _around(*key):
            if outer not in stages:
                yield f"traceEvents: {_label(outer)} is missing, in which {_label(key)} lies"
            elif not _lies_in(event, stages[outer]):
                yield f"traceEvents: {_label(key)} does not lie in {_label(outer)}"
        begun = stages.get((stage_names.PREPROCESS, key[1]))
        if begun is not None and event["ts"] < begun["ts"] - _TOLERANCE_US:
            yield f"traceEvents: {_label(key)} begins before its generation"


def _around(name: str, generation: int | None) -> list[tuple[str, int | None]]:
    index = stage_names.step_index(name)
    inner = {stage_names.TEXT_ENCODING: stage_names.PREPROCESS}
    if index is not None:
        inner[stage_names.step_loading(index)] = stage_names.step_inference(index)
    around = [(inner[name], generation)] if name in inner else []
    return around if name in stage_names.NOT_LEAVES else [*around, (stage_names.TOTAL_EXECUTION, None)]


def _lies_in(inner: Mapping[str, Any], outer: Mapping[str, Any]) -> bool:
    return inner["ts"] >= outer["ts"] - _TOLERANCE_US and _end_us(inner) <= _end_us(outer) + _TOLERANCE_US


def _end_us(event: Mapping[str, Any]) -> float:
    return event["ts"] + event["dur"]


def _label(key: tuple[str, int | None]) -> str:
    name, generation = key
    return repr(name) if generation is None else f"{name!r} of generation {generation}"


def _apart(quality: Mapping[str, Any], reached: bool) -> Iterator[str]:
    """Values that are known together, or not at all."""
    for key in _OF_TOTAL_EXECUTION:
        if (quality[key] is not None) != reached:
            yield f"quality.{key}: must be null without {stage_names.TOTAL_EXECUTION!r} and only then, got {quality[key]}"
    parts = quality.get("parts")
    for key in _SEEN_IN_PARTS if parts else ():
        if (quality.get(key) is None) != all(part[key] is None for part in parts):
            yield f"quality.{key}: must be null where quality.parts have none and only then, got {quality.get(key)}"

"""What a schema cannot say of a trace: its stages are those of its case.

Nothing here is a matter of limits: whatever contradicts itself was not measured so.
"""

from collections.abc import Iterator, Mapping
from typing import Any

from wanbench.registry import stages as stage_names

_OF_NO_GENERATION = (stage_names.PROCESS_STARTUP, stage_names.TOTAL_EXECUTION, stage_names.MODEL_INITIALIZATION)


def contradictions(content: Mapping[str, Any]) -> Iterator[str]:
    """Each thing in which a trace that its schema allows contradicts itself, with its key."""
    case, is_ok = content["case"], content["status"] == stage_names.OK
    if is_ok != (content["error"] is None):
        yield f"error: must be null with status 'ok' and only then, status is {content['status']!r}"
    found: set[tuple[str, int | None]] = set()
    for i, event in enumerate(content["traceEvents"]):
        if event.get("cat") == "stage":
            key = event["name"], event["args"]["generation"]
            if key in found:
                yield f"traceEvents[{i}].name: {key[0]!r} stands twice in generation {key[1]}"
            yield from (f"traceEvents[{i}].{error}" for error in _errors_of_stage(event, case, is_ok))
            found.add(key)
    for name, generation in _expected(case) if is_ok else ():
        if (name, generation) not in found:
            label = repr(name) if generation is None else f"{name!r} of generation {generation}"
            yield f"traceEvents: {label} is missing, and the case ended well"


def _errors_of_stage(event: Mapping[str, Any], case: Mapping[str, Any], is_ok: bool) -> Iterator[str]:
    name, args = event["name"], event["args"]
    generation, step = args["generation"], stage_names.step_index(name)
    generations = case["warmup"] + case["repeats"]
    if not stage_names.is_stage(name):
        yield f"name: {name!r} is no stage of this schema"
    if (generation is None) != (name in _OF_NO_GENERATION):
        yield f"args.generation: {name!r} is of {'a' if generation is None else 'no'} generation, got {generation}"
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


def _expected(case: Mapping[str, Any]) -> Iterator[tuple[str, int | None]]:
    """The stages of a case that ended well."""
    names = [stage_names.PREPROCESS, stage_names.TEXT_ENCODING, stage_names.VAE_DECODING, stage_names.VIDEO_EXPORT]
    for step in range(case["steps"]):
        names += [stage_names.step_loading(step), stage_names.step_inference(step)]
    yield from ((name, None) for name in _OF_NO_GENERATION)
    for generation in range(case["warmup"] + case["repeats"]):
        yield from ((name, generation) for name in names)

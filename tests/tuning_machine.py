"""A machine whose answers to `snakemake tune` are made by hand, and a search played on it."""

from collections.abc import Callable, Mapping
from typing import Any

from wanbench.cases.resolve import resolve_cases
from wanbench.tuning.goal import Goal, goal_of
from wanbench.tuning.search import Search
from wanbench.tuning.trials import Answer, Trial

T2V = {"model": "T2V-A14B", "size": "832*480"}
# Seconds of a step: what each setting multiplies it by.
FASTER = {"xformers": 0.9, "repeated_blocks": 0.85, "fp8_rowwise": 0.8, "group_stream": 1.05}
# What leaves compilation alone to be tried.
STEPS_ALONE = {"attention": "native", "vae_memory_format": "contiguous"}
NOT_INSTALLED = ("flash", "_flash_3", "sage", "int8_rowwise")
OOM = Answer("oom", duration_s=20)
Machine = Callable[[Mapping[str, Any]], Answer]


def machine(settings: Mapping[str, Any], *, memory_gb: float = 141, loss: Mapping[Any, float] | None = None) -> Answer:
    """What a trial comes to: a model of a machine that is as simple as a search can be tested with."""
    if missing := [value for value in settings.values() if value in NOT_INSTALLED]:
        return Answer("error", f"needs the package {missing[0]}", duration_s=10)
    needed_gb = {"none": 66, "model": 34}.get(settings.get("offload", "none"), 14)
    if "layerwise_casting" in settings:
        needed_gb /= 2
    if needed_gb > min(memory_gb, settings.get("gpu_memory_gb", memory_gb)):
        return Answer("oom", duration_s=20, gpu_total_bytes=memory_gb * 1e9)
    step_s, decoding_s = 6.6, 3.0
    for value in settings.values():
        step_s *= FASTER.get(value, 1.0) if isinstance(value, str) else 1.0
    decoding_s *= 0.9 if "channels_last" in settings.values() else 1.0
    decoding_s *= 0.5 if "bfloat16" in settings.values() else 1.0
    lost = [error for value, error in (loss or {}).items() if value in settings.values()]
    return Answer(
        "ok",
        duration_s=45,
        video_s=40 * step_s + decoding_s + 1,
        first_video_s=40 * step_s + 50,
        step_s=step_s,
        step_error_s=0.02,
        decoding_s=decoding_s,
        gpu_used_bytes=needed_gb * 1e9,
        gpu_total_bytes=memory_gb * 1e9,
        host_bytes=20e9,
        gpu_name="NVIDIA H200",
        gpu_compute_capability="9.0",
        attention_kernel="cudnn",
        latent_error=max(lost) if lost else None,
        psnr_db=40.0 if lost else None,
    )


def play(goal: Goal, answer: Machine = machine, over_after: int = 1000) -> tuple[Search, dict[str, Answer]]:
    """The finished search, and the answers of all trials in the order in which they ran."""
    answers: dict[str, Answer] = {}

    def measured(trial: Trial, time_is_kept: bool) -> Answer | None:
        if trial.name not in answers and (time_is_kept or len(answers) < over_after):
            # As the run of the trial does: its name and its settings are allowed in a grid file.
            resolve_cases({"cases": {trial.name: trial.settings}}, "grid.yaml")
            answers[trial.name] = answer(trial.settings)
        return answers.get(trial.name)

    search = Search(goal, measured)
    search.run()
    return search, answers


def begun(goal: Goal, answers: Mapping[str, Answer]) -> tuple[Search, str]:
    """A search as far as answers reach, and the trial that it asks for next; nothing where it is finished."""

    def known(trial: Trial, _: bool) -> Answer:
        if trial.name not in answers:
            raise LookupError(trial.name)
        return answers[trial.name]

    search = Search(goal, known)
    try:
        search.run()
    except LookupError as error:
        return search, error.args[0]
    return search, ""


def goal(**options: Any) -> Goal:
    return goal_of(T2V | options)


def by_name(search: Search) -> dict[str, Trial]:
    return {trial.name: trial for trial in search.trials}

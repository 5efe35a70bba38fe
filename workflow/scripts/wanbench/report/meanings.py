"""What the columns and lines of a report mean: from the registry, and here what the registry does not hold."""

from wanbench.analysis.outliers import MAX_Z, MIN_GENERATIONS
from wanbench.registry import stage_metrics
from wanbench.registry.metrics import shown_in

_STATISTICS = shown_in(stage_metrics.STATISTICS)
_STAGES = shown_in(stage_metrics.STAGE_TABLE)
_SHOWN_STAGES = (
    *("Time (s)", "GPU Mem (GB)", "CPU (%)", "Sys Mem (GB)", "SM Act (%)", "Comp Load"),
    *("Energy (J)", "Loading (s)", "Offloading (s)"),
)
_SUMMARY = shown_in(stage_metrics.SUMMARY)
_SHOWN_SUMMARY = ("Time(s)", "s/step", "Mem(GB)", "SM(%)", "Load", "Status", "Check")

SUMMARY = {name: _SUMMARY[name] for name in _SHOWN_SUMMARY if name in _SUMMARY} | {
    "Steps": "denoising steps of a generation, and how many generations where there are several",
    "Settings": "what differs from the stock pipeline, besides offload",
}
SETTINGS = {
    "Settings": "cases with the same settings, of one workload on one kind of GPU; `stock` is the pipeline as it comes. "
    "Cases with a failed check are not in it, nor caches with random weights, whose times mean nothing",
    "Time (s)": "one generation at the official steps, without initialisation and compilation; of a case with other steps, "
    "s/step stands for the difference",
    "±": "half the range of equal cases, as a share of their median",
    "Cases": "how many; `warm`: figures are of generations after the first of a process; `cold`: of the first",
    "Used (GB), Allocated (GB)": "highest memory used on the whole GPU, and of torch's tensors: a card with more than the "
    "first runs it as it ran here; one with less than the second cannot",
    "Host (GB)": "highest memory of the processes on the host",
    "Best at": "`Pareto`: no other settings are better in time or allocated memory without being worse in the other",
    "(lossy)": "the settings change the arithmetic of the video",
    "Cost, CO2 (g)": "of one video, from config/prices.yaml: GPU hours and energy of the GPUs; not idle time, host, cooling",
}
STAGES = {
    "Stage": "a part of the case: medians over the measured generations, of memory the highest. Further_Generations is "
    "the time of the others, Unaccounted what is in no stage",
    **{name: _STAGES[name] for name in _SHOWN_STAGES if name in _STAGES},
    "MFU (%)": "operations over time, as a share of the peak that the appendix names; only in 16 bit",
    "Min (s), Max (s), First (s)": "of the measured generations, and of generation 0",
}
STATISTICS = {name: text for name, text in _STATISTICS.items()} | {
    "Unusual Generation": f"of {MIN_GENERATIONS} or more, one whose time has a modified z-score beyond {MAX_Z} (Iglewicz "
    "and Hoaglin 1993); it stays among them",
}
PUBLISHED = {
    "Time ratio, Step ratio": "the figure here over the published one: below 1 is faster. Sources differ in software and "
    "in what a total includes",
}

"""What the columns and lines of a report mean: from the registry, and here what the registry does not hold."""

from wanbench.analysis.outliers import MAX_Z, MIN_GENERATIONS
from wanbench.registry import stage_metrics
from wanbench.registry.metrics import shown_in

_SUMMARY, _STAGES = shown_in(stage_metrics.SUMMARY), shown_in(stage_metrics.STAGE_TABLE)
_IN_SUMMARY = ("Time(s)", "s/step", "Mem(GB)", "SM(%)", "Load", "Status", "Check")
_OF_STAGES = (
    *("Time (s)", "GPU Mem (GB)", "CPU (%)", "Sys Mem (GB)", "SM Act (%)", "Comp Load"),
    *("Energy (J)", "Loading (s)", "Offloading (s)", "Interrupted"),
)

SUMMARY = {name: _SUMMARY[name] for name in _IN_SUMMARY} | {
    "Steps": "denoising steps of a generation, and how many generations where there are several",
    "Settings": "what the case says in its grid file, besides offload",
}
SETTINGS = {
    "Settings": "what a grid file says for them; `stock` is nothing, the pipeline as it comes, and (lossy) changes the "
    "arithmetic of the video. Cases that failed a check are not there, nor caches with random weights, whose times "
    "mean nothing",
    "Time (s)": "one generation at the official steps, without initialisation and compilation. The time of a case with "
    "other steps is brought to these by s/step",
    "±": "half the range of equal cases, as a share of their median",
    "Cases": "how many; `warm`: figures are of generations after the first of a process; `cold`: of the first",
    "Used (GB), Allocated (GB)": "highest memory used on the whole GPU, and by torch's tensors: a card with more than "
    "the first can run it, one with less than the second cannot",
    "Host (GB)": "highest memory of the processes on the host",
    "Best at": "among settings on as many GPUs, within what equal cases differ by; `trade-off`: nothing is better in "
    "time or in allocated memory without being worse in the other",
    "Cost, CO2 (g)": "of one video, from `config/prices.yaml`",
}
STAGES = {
    "Stage": "a part of the case: medians over the measured generations, of memory the highest. Further_Generations is "
    "the time of the others, Unaccounted what is in no stage",
    **{name: _STAGES[name] for name in _OF_STAGES},
    "MFU (%)": "operations over time, as a share of the peak that the appendix names; only in 16 bit",
    "Min (s), Max (s), First (s)": "of the measured generations, and of generation 0",
}
STATISTICS = shown_in(stage_metrics.STATISTICS) | {
    "Avg SM Activity": "SM(%) of the summary",
    "Median Time per Step, Mean Time per Step": "s/step of the summary, without first and switch step; the mean with a "
    "cache; (1 step): of a single one",
    "Median Energy per Step, Mean Energy per Step": "over the same steps; where they take less than a second, and with "
    "a cache, their mean power times s/step",
    "Unusual Generation": f"of {MIN_GENERATIONS} or more, one whose time has a modified z-score beyond {MAX_Z} "
    "(Iglewicz and Hoaglin 1993); it stays among them",
}

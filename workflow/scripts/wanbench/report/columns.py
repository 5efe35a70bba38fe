"""What the columns and lines of a report mean: from the registry, and here what the registry does not hold.

Columns that are explained together share a key, with commas between them.
"""

from wanbench.analysis import choices
from wanbench.analysis.outliers import MAX_Z, MIN_GENERATIONS
from wanbench.registry import stage_metrics
from wanbench.registry.metrics import shown_in
from wanbench.registry.settings import SETTINGS
from wanbench.report import differing

SUMMARY = shown_in(stage_metrics.SUMMARY) | {
    "Res": SETTINGS["size"].meaning,
    **{name: SETTINGS[name.lower()].meaning for name in ("Offload", "Steps", "Model", "Task", "Frames", "GPUs")},
    "Weights": "random or pretrained, and the size of random ones",
    "RAM(GB)": "highest Process Mem of the case, or Sys Mem where that is less",
}
SUMMARY["Check"] += "; then findings that leave times in doubt; in brackets, excluded generations"
STAGES = shown_in(stage_metrics.STAGE_TABLE) | {
    "Stage": "a part of the case. Its figures are medians over the measured generations, of memory the highest; "
    "Further_Generations is their time less these medians, Unaccounted what is in no stage of Total_Execution",
    "MFU (%)": "operations over time, as a share of the peak that the head of the report names; only where the stage "
    "computes in 16 bit",
    "Min (s), Max (s)": "shortest and longest time of the measured generations; n/a where it is one",
    "First (s)": "time in generation 0",
}
STAGES["Samples"] += ": one every 0.105 s (docs/telemetry.md)"
_STEPS = "(without first and switch step)"
STATISTICS = shown_in(stage_metrics.STATISTICS) | {
    "Avg SM Activity": "SM(%) of the summary",
    f"Median Time per Step {_STEPS}, Mean Time per Step {_STEPS}": "s/step of the summary: the mean with a cache",
    "Median Energy per Step, Mean Energy per Step": "over the same steps; where they take less than a second, and with "
    "a cache, their mean power times s/step",
    "Unusual Generation": f"of {MIN_GENERATIONS} or more measured generations, one whose time excluding compilation "
    f"has a modified z-score beyond {MAX_Z} (Iglewicz and Hoaglin 1993); it stays among them",
}
DETAILS = {
    "Part": "a part of a stage. Process_Group: processes of several GPUs find each other; Placement: putting weights "
    "where the offload mode wants them; CFG_cond, CFG_uncond: the pass with the prompt and the one without, with "
    "loading and compilation in them; Offload_All: weights leave the GPU at the end",
    "Count, Median (s), Sum (s)": "runs in the measured generations, and their times",
}

_BOTH = {
    "Generation": "`warm`: median of the warm measured generations; `cold`: generation 0",
    "(scaled)": "scaled to another number of steps by s/step, or by a step's energy",
    "(1 step)": "of a single step: the others were the first and the expert switch",
    "(lossy)": "the setting changes the arithmetic of the video",
}
PUBLISHED = _BOTH | {
    "Case": "beside each published run of the same workload and number of GPUs; with guidance above 1",
    "GPU, Offload, Compile, Steps, s/step, Mem(GB)": "of the case here",
    "Published GPU, Software, Published steps, Published s/step, Published total(s), Published mem(GB), "
    "Published energy(kJ), Published note, Source": "of the published run, as the source gives it",
    "s/step ratio, Total ratio": "the figure here over the published one: below 1 is faster",
    "Total(s), Energy(kJ)": "of one generation excluding model initialisation and compilation, at the published steps",
}
CHOICES = _BOTH | {
    "Case": "cases of the same workload and GPU that passed their checks or did not fit",
    "GPU": "on which the row was measured, where there are several of one name: they differ by some percent",
    ", ".join(choices.SETTINGS): "the settings in which the cases differ",
    "s/step, GPU Allocated (GB)": "s/step and Mem(GB) of the summary: a card with less memory cannot hold the case",
    "VAE decoding (s)": "time of VAE_Decoding without weight transfers in it",
    "Weight transfers as run (s)": "time of weight transfers of one generation, at the steps that the case ran",
    "Time at N steps (s)": "one generation excluding model initialisation and compilation, at the official steps",
    "GPU Reserved (GB), GPU Used (GB)": "highest of all stages: a card with more than GPU Used holds it as it ran",
    "Energy (J/s of video)": "energy of the same generation, on all its GPUs, for each second of its video",
    "Best at": "best in the table; `Pareto`: no other settings are as good in time and GPU Allocated, and better in "
    "one, by more than equal cases differ (`alike_generation_pct`, of memory `no_effect_memory_pct`)",
}
DIFFERING = {
    "Case": "a table for each model of which several cases differ",
    ", ".join(differing.SETTINGS): "the settings in which they differ; n/a for one without effect in a case",
    "s/step, Time(s), Mem(GB), RAM(GB)": "those of the summary",
}
PICTURES = {
    "timeline": "a case from `Model_Initialization` to its end; in a step, loading stands in one piece",
    "steps": "medians over the measured generations; others are open marks; the dashed line is s/step",
    "stage_times, energy": "`Total_Execution` of each case by stage, weight transfers outside of the steps apart",
    "time_memory": "one generation against peak memory; the line joins those that no other settings beat in both",
}

# By the heading that they are explained under.
OF_CASES = {
    "Summary columns": SUMMARY,
    "Case lines": {"Total Duration, Peak GPU Memory, Total Compute Load": "Time(s), Mem(GB) and Load of the summary"},
    "Stage Breakdown columns": STAGES,
    "Inference Statistics lines": STATISTICS,
    "Details columns": DETAILS,
}
# By the heading of the section that they stand in; a report without the section does without them.
_HEADINGS = ("Which settings to use", differing.HEADING, "Against published figures")
OF_SECTIONS = dict(zip(_HEADINGS, (CHOICES, DIFFERING, PUBLISHED)))

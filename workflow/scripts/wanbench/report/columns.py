"""What the columns and lines of the report mean, in the words that its end prints.

Columns that are explained together share a key, with commas between them.
"""

from wanbench.analysis.outliers import MAX_Z, MIN_GENERATIONS
from wanbench.report import differing

_COUNTING = (
    "the generations that count: those to measure that ran to their end, without the first of the process, which is "
    "cold, where there is another, and without contaminated ones where others are clean"
)

SUMMARY = {
    "Case": "name of the case in the grid file: a label, and the name of its files",
    "Res": "width*height of the video in pixels, as it was made",
    "Offload": "where weights wait while they are not used: none, or one of diffusers' ways",
    "Time(s)": "life of the measuring process: start-up, Total_Execution with all generations, and its end (output "
    "checked)",
    "s/step": "median over the steps after the first and without the expert-switch step, loading included, of "
    f"{_COUNTING}; with a cache, whose steps are short or long by design, the mean of a generation's; Avg Time per "
    "Step is the mean of all",
    "Mem(GB)": "highest memory that torch had allocated on the GPU",
    "SM(%)": "share of the steps' inference time, in the generations that count, in which multiprocessors had work "
    "(GPM; before Hopper NVML's GPU utilisation, and the report says so)",
    "Load": "SM activity times time over Total_Execution (all that Exec(s) holds), in percent-seconds: 100 % for 10 s "
    "is 1000",
    "Generations": "videos that the process made, whether or not they count",
    "Steps": "denoising steps of a generation",
    "Status": "ok, oom (out of GPU memory), timeout, killed or error",
    "Check": "passed, or what makes the figures doubtful: gaps, time without a stage, a change of step time, other "
    "processes on the GPU, throttling, output that is not finite; then the findings busy machine and step "
    "times scatter, which no check stands for and which leave times in doubt; in brackets, how many contaminated "
    "generations it and all medians are without. `--forcerun results/traces/CASE.json` measures a case again",
    "Model": "the Wan2.2 model",
    "Task": "t2v, text to video, or i2v, image to video",
    "Frames": "length of the video, in frames",
    "Weights": "random or pretrained, and the size of random ones",
    "Exec(s)": "time of Total_Execution, of cases that ran to their end: initialisation, compilation and all "
    "generations, warm-ups too",
    "RAM(GB)": "highest memory of the case on the host: what the measured process and its children held, added up "
    "(Process Mem), or what the whole machine used (Sys Mem) where that is less",
    "Energy(kJ)": "difference of NVML's energy counter over Total_Execution: with initialisation, compilation and all "
    "generations; of one generation see Energy per Second of Video",
    "Power(W)": "that energy over the time of Total_Execution",
    "Cold gen(s)": "time of the first generation of the process, a warm-up or not, from the pipeline's call to the "
    "video file, with compilation; n/a where it is excluded",
    "Warm gen(s)": "median of the same over the generations that count after the first; n/a with a single generation, "
    "whose figures are all cold",
    "Est. Mem(GB)": "Mem(GB) as estimated from the settings alone; n/a for tiny models",
    "GPUs": "number of GPUs that the case ran on together, each with a process that has all weights: they share the "
    "steps, and each encodes the text and decodes the video by itself. Of several, shares of activity, the load that "
    "is made of them, and clocks are means over them; energy and power are their sums; what torch allocated and "
    "reserved is that of the first, and GPU Used of the one that used most; a multiprocessor that waits for another "
    "GPU counts as active; throttling is that of any. On the CPU it is the number of processes",
}

CASE = {
    "Total Duration": "Time(s) of the summary",
    "Peak GPU Memory": "Mem(GB) of the summary",
    "Total Compute Load": "Load of the summary",
}

STAGES = {
    "Stage": "a part of the case, in order; Unaccounted is what is in Total_Execution and in no stage, "
    "Further_Generations the time of all generations less the medians that the rows show; these two are times alone",
    "Time (s)": "wall clock from border to border, with the device synchronised at both. This and the columns after it "
    f"are medians, of memory the highest, over {_COUNTING}. Compilation is what it took, in whichever generation",
    "GPU Mem (GB)": "highest memory that torch had allocated in the stage",
    "CPU (%)": "the whole machine's, of all logical cores; the kernel counts in ticks of 10 ms, so it is good to some "
    "percent in a stage of a few samples. What the ticks put above 100 is 100",
    "Sys Mem (GB)": "highest use of the whole machine's memory",
    "SM Act (%)": "share of time in which multiprocessors had work (GPM; before Hopper NVML's GPU utilisation, and the "
    "report says so)",
    "Comp Load": "SM activity times time, in percent-seconds",
    "Tensor (%)": "activity of the tensor cores (GPM)",
    "DRAM (%)": "activity of the GPU's memory bandwidth (GPM)",
    "Energy (J)": "difference of NVML's energy counter, which moves every 0.1 s: n/a below a second, and exact to a "
    "tenth at that",
    "Power (W)": "mean power, of the samples: it may differ from the counter's energy over the time, by tens of watts "
    "in stages of a few samples; n/a below a second",
    "Process CPU (%)": "the measured process tree's share of all logical cores, counted in the same ticks: in a stage "
    "of a few samples it may be some percent above CPU, of which it is a part",
    "Process Mem (GB)": "highest resident memory of the measured process tree, added up. Pages that several of "
    "them share, as the workers of torch.compile do, count for each, and so do those of a checkpoint that is being "
    "read, which need not stay: it can be more than Sys Mem",
    "GPU Reserved (GB)": "what torch's allocator held at most",
    "GPU Used (GB)": "what was used of the whole device at most (NVML)",
    "TFLOP": "counted operations of the stage (1e12); n/a for a VAE that is not of Wan2.2's sizes, as in tiny cases, "
    "for a step with a cache, and for what does not compute",
    "MFU (%)": "these operations over the stage's time, as a share of the peak that the head of the report names (of "
    "several GPUs: of all of them for a step, which they share, and of one for what each does by itself); only where "
    "the stage computes in 16 bit",
    "Samples": "samples taken in the stage, one every 0.105 s. Sampled columns are n/a where it is shorter than that, "
    "though one may lie in it, and where it is pieces too short to be told from what lies between them; of several "
    "generations that count, where one of them has no figure. Pieces less than 0.105 s apart are one stretch; they are "
    "too short where more than half of their time is in stretches that are shorter than 0.105 s, or of which the "
    "pieces are less than nine tenths (of loading, 98 %, since a GPU that computes in between does much more)",
    "Loading (s)": "time in the stage in which weights moved to the GPU; with group_stream, in which the GPU had "
    "nothing to do for want of them. The column is there where some moved; n/a where moves are not watched, outside "
    "of the generations and in Video_Export, whose offloading is the detail Offload_All",
    "Offloading (s)": "time in the stage in which weights moved from the GPU; there and n/a like Loading (s)",
    "Min (s), Max (s)": "shortest and longest time of the generations that count; n/a where it is one",
    "First (s)": "time in the first generation of the process, which is cold: it is in no other column where there are "
    "warm ones that count",
    "Interrupted": "whether the case ended in the stage, which then has the time up to that; there where one did",
}

_TIME_PER_STEP = "Time per Step (without first and switch step)"
STATISTICS = {
    "Avg Time per Step": "mean over all steps of the generations that count, loading included",
    "Avg SM Activity, Avg CPU Utilization": "SM Act and CPU of all inference stages of the generations that count, "
    "weighted by time. CPU is the whole machine's, of all logical cores, with what other processes used. n/a where "
    "less than nine tenths of their time have a figure: steps that are shorter than a sampling interval have none",
    "Total Inference Load": "Comp Load of the same stages, added up; n/a where it is not known of all",
    f"Median {_TIME_PER_STEP}, Mean {_TIME_PER_STEP}": "s/step of the summary: the mean with a "
    "cache. (1 step): of a single one",
    "First Step": "median time of step 0 of the generations that count, loading included, without compilation",
    "First Step of the Cold Generation": "the same of the first generation of the process, where there are several",
    "Expert Switch Step": "median time of the step in which A14B's second expert begins, with the loading of it",
    "Passes Reused by the Cache": "guidance passes that a cache served, of all in the generations that count",
    "Median Energy per Step, Mean Energy per Step": "over the steps that s/step is of; (1 step) where that is one. "
    "Where loading and inference take turns too fast for an energy each, it is the counter's difference over the step; "
    "where steps take less than a second, and with a cache, it is the power of all of them times s/step",
    "Energy per Second of Video (one generation, without initialisation and compilation)": "median energy of the warm "
    "generations that count, or else of the cold one, over the seconds of the video; Energy(kJ) of the summary is of "
    "all of Total_Execution",
    "Unusual Generation": f"of {MIN_GENERATIONS} or more generations that count, one whose time without compilation "
    f"has a modified z-score beyond {MAX_Z}: its distance from the median, over 1.4826 median absolute deviations "
    '(Iglewicz and Hoaglin 1993, "How to Detect and Handle Outliers"). It stays among them: it hardly moves a median',
}

DETAILS = {
    "Part": "a part of a stage. Process_Group: the processes of several GPUs find each other; Initialize_...: "
    "building or loading one component; Placement: putting weights where the offload mode wants them, and what "
    "torch.compile prepares where the case compiles; VAE_Encoding: of the image; CFG_cond and CFG_uncond: the pass of "
    "a step with the prompt and the one without. A pass lasts as long as it took, so loading and compilation that "
    "happen in it are in it, mostly in CFG_cond, which comes first; in the stage table they are stages of their own. "
    "Video_Postprocess: from the device to frames on the host; Offload_All: weights leave the GPU at the end; "
    "Video_Encoding: the file",
    "Count": "how often it ran in the generations that count",
    "Median (s), Sum (s)": "of the time of each run",
}

_GENERATION = (
    "`warm`: the median of those that count after the first of the process; `cold`: the first, where it is the only one"
)
_SCALED = "the case ran another number of steps, and s/step (or the energy of a step) stands for the difference"
_ONE_STEP = "s/step, and what is scaled by it, is of a single step: the others were the first and the expert switch"
_LOSSY = "a cache, sage attention, VAE tiling, a VAE in 16 bit or float16: the setting changes the video"

PUBLISHED = {
    "Case": "each case stands beside each row of `workflow/scripts/wanbench/report/published_figures.csv` of the same "
    "model, task, size, frames and number of GPUs, those of its kind of GPU first; not with guidance of 1 or less, "
    "which halves the work",
    "GPU, Offload, Compile, Steps": "of the case here",
    "Published GPU": "which GPU the published run had, and how many where it was more than one",
    "Software": "what the published run was made with",
    "Published steps": "denoising steps of the published run",
    "s/step": "that of the summary",
    "Published s/step": "time of a step as the source gives it, n/a where it gives none",
    "s/step ratio, Total ratio": "the figure here over the published one: below 1 is faster",
    "Generation": _GENERATION,
    "Total(s)": "one generation without model initialisation and compilation, at the published number of steps",
    "Published total(s)": "time of a generation as the source gives it; sources differ in what it includes",
    "Mem(GB)": "highest memory that torch had allocated on the GPU here",
    "Published mem(GB)": "highest memory of one GPU as the source gives it; whether allocated or reserved, sources "
    "seldom say",
    "Energy(kJ)": "of the same generation as Total(s), at the published number of steps",
    "Published energy(kJ)": "energy of a generation as the source gives it",
    "Published note": "what the source says of its figures, and what was derived from it; empty where it says nothing",
    "Source": "where the published figures stand",
    "(scaled)": _SCALED,
    "(1 step)": _ONE_STEP,
    "(lossy)": _LOSSY,
}

CHOICES = {
    "Case": "a table for each model, task, size, length, GPU and kind of weights of which cases passed their checks or "
    "did not fit",
    "GPU": "on which the row was measured, where a table holds several of one name: they differ by some percent",
    "offload, compile, cache, cache_threshold, attention, dtype, vae_dtype, vae_tiling, gpus, steps, guidance": "the "
    "settings in which the cases differ, by their keys in the grid file; offload, compile and steps where they "
    "differ in none",
    "s/step": "that of the summary",
    "VAE decoding (s)": "time of VAE_Decoding in the generation of the row, without weights that move in it",
    "Weight transfers as run (s)": "of one generation of as many steps as the case ran: Loading (s) and Offloading (s) "
    "of its stages, and the detail Offload_All. The column is there where some moved",
    "Generation": "`warm`: the median of those that count after the first of the process, where all cases of the table "
    "have one; else `cold`: the first",
    "Time at N steps (s)": "one generation without model initialisation and compilation, at the model's official "
    "number of steps",
    "GPU Allocated (GB)": "Mem(GB) of the summary: what torch had allocated at most, on each of several GPUs. A card "
    "with less cannot hold it",
    "GPU Reserved (GB), GPU Used (GB)": "what torch's allocator held at most, and what was used of the whole device "
    "(NVML): with what the allocator keeps cached and can give back when a smaller card runs out. A card with more "
    "than GPU Used holds the case as it ran here",
    "Energy (J/s of video)": "energy of the same generation, on all its GPUs, for each second of its video; stages too "
    "short for a figure are excluded, up to 1 % of its time; above that it is the counter's difference over all of it",
    "Best at": "`fastest`, `least memory (allocated)`, `least energy` of the table; `Pareto`: no other settings (steps "
    "aside) are at least as good in time and GPU Allocated, and better in one. What differs by no more than equal "
    "cases do is the same (`alike_generation_pct` of time and energy, `no_effect_memory_pct` of memory). "
    "`does not fit`: the case ran out of the memory of its GPU",
    "(scaled)": _SCALED,
    "(1 step)": _ONE_STEP,
    "(lossy)": _LOSSY,
}

DIFFERING = {
    "Case": "a table for each model of which several cases differ",
    ", ".join(differing.SETTINGS): "the settings in which the cases of the table differ, by their keys in the grid "
    "file; n/a for one that has no effect in a case",
    "s/step, Time(s), Mem(GB), RAM(GB)": "those of the summary, s/step to a millisecond",
}

# By the heading that they are explained under.
OF_CASES = {
    "Summary columns": SUMMARY,
    "Case lines": CASE,
    "Stage Breakdown columns": STAGES,
    "Inference Statistics lines": STATISTICS,
    "Details columns": DETAILS,
}
# By the heading of the section that they stand in; a report without the section does without them.
OF_SECTIONS = {
    "Which settings to use": CHOICES,
    differing.HEADING: DIFFERING,
    "Against published figures": PUBLISHED,
}

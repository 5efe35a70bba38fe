"""What the columns of the report mean, in the words that its end prints."""

SUMMARY = {
    "Case": "name of the case in the grid file: a label, and the name of its files",
    "Res": "width*height of the video in pixels, as it was made",
    "Offload": "where weights wait while they are not used: none, or one of diffusers' ways",
    "Time(s)": "life of the measuring process: start-up, Total_Execution, and its end (output checked)",
    "s/step": "median over the steps after the first and without the expert-switch step, loading included; Avg Time "
    "per Step is the mean of all",
    "Mem(GB)": "highest memory that torch had allocated on the GPU",
    "SM(%)": "share of the steps' inference time in which multiprocessors had work (GPM; before Hopper NVML's GPU "
    "utilisation, and the report says so)",
    "Load": "SM activity times time over Total_Execution, in percent-seconds: 100 % for 10 s is 1000",
    "Status": "ok, oom (out of GPU memory), timeout, killed or error",
    "Check": "passed, or what makes the figures doubtful: gaps, time without a stage, a change of step time, other "
    "processes on the GPU, throttling, output that is not finite; in brackets, how many contaminated generations it "
    "and all medians are without",
    "Model": "the Wan2.2 model",
    "Task": "t2v, text to video, or i2v, image to video",
    "Frames": "length of the video, in frames",
    "Steps": "denoising steps of a generation",
    "Weights": "random or pretrained, and the size of random ones",
    "Generations": "videos that the process made, whether or not they count",
    "Exec(s)": "time of Total_Execution, of cases that ran to their end",
    "RAM(GB)": "highest memory of the measured process and its children",
    "Energy(kJ)": "difference of NVML's energy counter over Total_Execution",
    "Power(W)": "that energy over that time",
    "Cold gen(s)": "time of the first generation of the process, a warm-up or not, from the pipeline's call to the "
    "video file, with compilation",
    "Warm gen(s)": "median of the same over the generations that count after the first; n/a with a single generation",
    "Est. Mem(GB)": "what the settings alone let expect of Mem(GB) before the case runs; none for tiny models",
}

STAGES = {
    "Stage": "a part of the case, in order; Unaccounted is what is in Total_Execution and in no stage, "
    "Further_Generations the time of all generations but the one that the rows show (the median)",
    "Time (s)": "wall clock from border to border, with the device synchronised at both; a median over the generations "
    "that count: no warm-ups, and no contaminated ones where others are clean",
    "GPU Mem (GB)": "highest memory that torch had allocated in the stage",
    "CPU (%)": "the whole machine's, of all logical cores; the kernel counts in ticks of 10 ms, so it is good to some "
    "percent in a stage of a few samples",
    "Sys Mem (GB)": "highest use of the whole machine's memory",
    "SM Act (%)": "share of time in which multiprocessors had work (GPM; before Hopper NVML's GPU utilisation, and the "
    "report says so)",
    "Comp Load": "SM activity times time, in percent-seconds",
    "Tensor (%)": "activity of the tensor cores (GPM)",
    "DRAM (%)": "activity of the GPU's memory bandwidth (GPM)",
    "Energy (J)": "difference of NVML's energy counter",
    "Power (W)": "mean power",
    "Process CPU (%)": "the measured process tree's share of all logical cores",
    "Process Mem (GB)": "highest memory of the measured process tree",
    "GPU Reserved (GB)": "what torch's allocator held at most",
    "GPU Used (GB)": "what was used of the whole device at most (NVML)",
    "TFLOP": "counted operations of the stage (1e12)",
    "MFU (%)": "these operations over the stage's time, as a share of the peak that the head of the report names; only "
    "where the stage computes in 16 bit",
    "Samples": "samples taken in the stage; without any, sampled columns are n/a",
    "Loading (s)": "time in the stage in which weights moved to the GPU; with group_stream, in which the GPU had "
    "nothing to do for want of them; only where some moved",
    "Offloading (s)": "time in the stage in which weights moved from the GPU; only where some moved",
    "Min (s)": "shortest time of the generations that count",
    "Max (s)": "longest time of the generations that count",
    "First (s)": "time in the first generation of the process, a warm-up or not",
}

_GENERATION = (
    "`warm`: the median of those that count after the first of the process; `cold`: the first, where it is the only one"
)
_SCALED = "the case ran another number of steps, and s/step (or the median energy of a step) stands for the difference"
_ONE_STEP = "s/step, and what is scaled by it, is of a single step: the others were the first and the expert switch"
_LOSSY = "a cache, sage attention, VAE tiling, a VAE in 16 bit or float16: the setting changes the video"

PUBLISHED = {
    "Case": "each case stands beside each row of `workflow/scripts/wanbench/report/published_figures.csv` of the same "
    "model, task, size and frames; not with guidance of 1 or less, which halves the work",
    "ratio": "the figure here over the published one: below 1 is faster",
    "Generation": _GENERATION,
    "Total(s)": "one generation without model initialisation and compilation, at the published number of steps",
    "(scaled)": _SCALED,
    "(1 step)": _ONE_STEP,
    "(lossy)": _LOSSY,
}

CHOICES = {
    "Case": "a table for each model, task, size, length, GPU and kind of weights of which cases with different "
    "settings passed their checks",
    "Generation": _GENERATION,
    "Time at N steps": "one generation without model initialisation and compilation, at the model's official number of "
    "steps",
    "Energy (J/s of video)": "energy of the same generation for each second of its video; stages too short for a "
    "figure are left out, at most 1 % of its time",
    "Best at": "`fastest`, `least memory`, `least energy` of the table; `Pareto`: no other settings (steps aside) are "
    "at least as good in time and peak memory, and better in one; peaks within `no_effect_memory_pct` are "
    "the same memory",
    "(scaled)": _SCALED,
    "(1 step)": _ONE_STEP,
    "(lossy)": _LOSSY,
}

# By the heading of the section that they stand in; a report without the section does without them.
OF_SECTIONS = {"Against published figures": PUBLISHED, "Which settings to use": CHOICES}

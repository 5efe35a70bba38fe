"""The columns of all tables: one row a metric. Those of stages, kernels and settings: `.stage_metrics`,
`.kernel_metrics`, `.settings`.

From the rows come the types of the columns, docs/tables.md, the stages of the trace's schema and, in a report, "How to
read".
"""

from dataclasses import replace

from wanbench.registry import settings
from wanbench.registry.kernel_metrics import KERNELS, LONGEST_KERNELS
from wanbench.registry.stage_metrics import (
    ANY,
    FIRST,
    HIGHEST,
    MEAN,
    OF_STAGES,
    REAL,
    STAGES,
    STATISTICS,
    SUM,
    SUMMARY,
    TEXT,
    TRUTH,
    WHOLE,
    Metric,
)

_DTYPES = {TEXT: "string", REAL: "Float64", WHOLE: "Int64", TRUTH: "boolean"}

# fmt: off
# Of a video beside the baseline of its workload: columns of the cases table as well.
_VIDEO = (
    Metric("baseline", TEXT, meaning="the case whose video it is compared with: the stock one of the same workload on a GPU of the same model", empty="the grid has none, nothing was kept, or an older trace"),
    Metric("difference", TEXT, meaning="what the settings in which the two differ may do: exact (nothing), rounding (the same operations in another order) or lossy (another arithmetic)", empty="as `baseline`"),
    Metric("latent_error_rel", REAL, meaning="relative error of the final latents: norm of the difference over the baseline's norm; 0: equal bit for bit", empty="as `baseline`, or latents of one of them are not there"),
    Metric("psnr_db", REAL, meaning="mean PSNR of the kept frames that differ from the baseline's; inf: all frames of the video are equal", empty="as `baseline`, or frames of one of them are not there"),
    Metric("psnr_worst_db", REAL, meaning="the worst of the same", empty="as `psnr_db`"),
    Metric("ssim", REAL, meaning="mean structural similarity of the kept frames to the baseline's, of luma; 1: equal", empty="as `psnr_db`"),
    Metric("ssim_worst", REAL, meaning="the worst of the same", empty="as `psnr_db`"),
    Metric("frames_sha256", TEXT, meaning="SHA-256 of all frames as the export gets them: RGB, one byte a colour", empty="nothing was to be kept, the case did not run to its end, or an older trace"),
)
FIDELITY = {"": (Metric("case", TEXT, meaning="name of the case"), *_VIDEO)}
CASES: dict[str, tuple[Metric, ...]] = {
    "The case": (
        Metric("case", TEXT, report=SUMMARY, label="Case", meaning="name of the case and of its files"),
        Metric("status", TEXT, report=SUMMARY, label="Status", meaning="ok, oom (out of GPU memory), timeout, killed or error"),
    ),
    "Settings": (
        *(Metric(row.key, TEXT if row.type == "numbers" else row.type, meaning=row.known, empty="without effect, or none" if row.nullable else "")
        for row in settings.ROWS if row.role != settings.DERIVED),
        Metric("attention_kernel", TEXT, meaning="the kernel that ran: cudnn, efficient, flash or math of torch; flash_3, flash_2 or cutlass of xformers", empty="not known"),
        Metric("compiled_frames", WHOLE, meaning="functions that were compiled and ran", empty="nothing to compile, or not complete"),
        Metric("prompt_tokens_cut", WHOLE, meaning="tokens of the prompt beyond the 512 that the pipeline takes", empty="not complete"),
        Metric("negative_prompt_tokens_cut", WHOLE, meaning="the same of the negative prompt", empty="as `prompt_tokens_cut`, or guidance is off"),
        Metric("guidance_first", REAL, meaning="guidance of the only expert, or of A14B's high-noise one"),
        Metric("guidance_second", REAL, meaning="guidance of A14B's low-noise expert", empty="no such expert"),
    ),
    "Status and checks": (
        Metric("failed_checks", TEXT, report=SUMMARY, label="Check", meaning="checks that failed, by the limits of `config/thresholds.yaml`: sampling_gaps, unaccounted_time, step_time_changed, output_not_finite, other_process, slowed_down; an empty text (in the report `passed`): none failed"),
        Metric("error_type", TEXT, meaning="class of the exception that ended the case", empty="there was none, as with status ok, timeout and killed"),
        Metric("error_message", TEXT, meaning="what ended the case", empty="nothing: status ok"),
        Metric("stage_reached", TEXT, meaning="the stage that it ended in, or the last one before that", empty="not reached, or status ok"),
        Metric("generations", WHOLE, report=SUMMARY, decimals=0, label="Generations", meaning="videos that the process began, warm-ups included"),
        Metric("generations_excluded", WHOLE, meaning="of these, the excluded ones"),
        Metric("steps_done", WHOLE, meaning="steps in all measured generations, with one that was cut short"),
        Metric("output_finite", TRUTH, meaning="whether all values of the last video are finite numbers", empty="not complete"),
        Metric("video_bytes", WHOLE, meaning="size of the last video's file", empty="not complete"),
        Metric("sampling_interval_s", REAL, meaning="time between samples as asked for"),
        Metric("samples", WHOLE, meaning="samples taken"),
        Metric("samples_missed", WHOLE, meaning="samples skipped because the one before took too long", empty="not told"),
        Metric("sample_coverage_pct", REAL, meaning="share of `Total_Execution` that samples cover; with a GPU, samples that have SM activity", empty="not reached"),
        Metric("greatest_sample_gap_s", REAL, meaning="longest time between two of these samples in it", empty="not reached"),
        Metric("stage_coverage_pct", REAL, meaning="share of `Total_Execution` that is in a stage", empty="not reached"),
        Metric("unaccounted_s", REAL, meaning="the rest of it", empty="not reached"),
        Metric("step_change_at", WHOLE, meaning="step, from 0, from which on inference took another time", empty="no change"),
        Metric("step_change_before_s", REAL, meaning="median inference time of a step before it", empty="no change"),
        Metric("step_change_after_s", REAL, meaning="the same from there on", empty="no change"),
        Metric("other_processes", WHOLE, over_gpus=SUM, meaning="most processes of others that were on the GPU at once during `Total_Execution`", empty="not reached, or NVML did not tell"),
        Metric("other_processes_mem_bytes", WHOLE, over_gpus=SUM, meaning="most memory of the GPU that they had at once", empty="not reached, or NVML did not tell"),
        Metric("throttled", TEXT, over_gpus=ANY, meaning="what held the GPU's clocks down, each with its share of samples in percent; an empty text: nothing", empty="not reached, or not read"),
        Metric("power_cap_pct", REAL, over_gpus=ANY, meaning="share of the samples in `Total_Execution` in which the power limit did", empty="not reached, or not read"),
        Metric("power_cap_typical_pct", REAL, over_gpus=ANY, meaning="the same of the samples in the inference of typical steps", empty="none of these was sampled, or not read"),
        Metric("hardware_slowdown_pct", REAL, over_gpus=ANY, meaning="likewise, for slowed by the hardware for any reason (HwSlowdown)", empty="not reached, or not read"),
        Metric("sync_boost_pct", REAL, over_gpus=ANY, meaning="likewise, for clocks tied to those of other GPUs (SyncBoost)", empty="not reached, or not read"),
        Metric("thermal_software_pct", REAL, over_gpus=ANY, meaning="likewise, for too hot, by software (SwThermalSlowdown)", empty="not reached, or not read"),
        Metric("thermal_hardware_pct", REAL, over_gpus=ANY, meaning="likewise, for too hot, by hardware (HwThermalSlowdown)", empty="not reached, or not read"),
        Metric("power_brake_pct", REAL, over_gpus=ANY, meaning="likewise, for a brake from outside, as by the power supply (HwPowerBrakeSlowdown)", empty="not reached, or not read"),
        Metric("clocks_set_pct", REAL, over_gpus=ANY, meaning="likewise, for clocks that somebody set (ApplicationsClocksSetting)", empty="not reached, not read"),
    ),
    "Times": (
        Metric("total_duration_s", REAL, report=SUMMARY, label="Time(s)", meaning="life of the measuring process: start-up, `Total_Execution`, and its end"),
        Metric("placement_s", REAL, meaning="time to put the weights where the offload mode wants them", empty="not reached, or the case compiles"),
        Metric("total_execution_s", REAL, report=SUMMARY, label="Exec(s)", meaning="from the start of model initialisation to the end of the last stage, all generations included", empty="not reached"),
        Metric("step_s", REAL, report=SUMMARY, label="s/step", meaning="median time of a typical step: not the first, nor the expert switch; with a cache, the mean", empty="no typical step"),
        Metric("typical_steps", REAL, meaning="number of typical steps in all measured generations"),
        Metric("step_mean_s", REAL, report=STATISTICS, label="Avg Time per Step", meaning="mean time of all complete steps of the measured generations", empty="no such step"),
        Metric("first_step_s", REAL, report=STATISTICS, label="First Step", meaning="median time of step 0 of the measured generations, without compilation", empty="no such step"),
        Metric("cold_first_step_s", REAL, report=STATISTICS, label="First Step of the Cold Generation", meaning="time of step 0 of generation 0, without compilation", empty="no such step, or generation 0 is excluded"),
        Metric("switch_step_s", REAL, report=STATISTICS, label="Expert Switch Step", meaning="median time of the step in which A14B's second expert begins, with its loading", empty="no such step"),
        Metric("vae_decoding_s", REAL, meaning="median time of `VAE_Decoding` in the measured generations", empty="no complete decoding"),
        Metric("vae_computing_s", REAL, meaning="the same without weight transfers in it", empty="no complete decoding"),
        Metric("weight_transfer_s", REAL, meaning="time of weight transfers of one more video, with those at its end; 0: there were none", empty="no such generation"),
        Metric("offload_all_s", REAL, meaning="median time in which all weights leave the GPU at the end of a generation", empty="offload is not `model`, or not reached"),
        Metric("first_generation_s", REAL, report=SUMMARY, label="Cold gen(s)", meaning="time of generation 0 from the pipeline's call to the video file, with compilation", empty="not complete, or excluded"),
        Metric("generation_s", REAL, report=SUMMARY, label="Warm gen(s)", meaning="median time of the warm measured generations, with what was compiled in them", empty="there is none"),
        Metric("generation_excl_compilation_s", REAL, meaning="time of one more video", empty="as `weight_transfer_s`"),
        Metric("cold_generation_s", REAL, meaning="`first_generation_s` without compilation", empty="as `first_generation_s`"),
        Metric("cold_vae_computing_s", REAL, meaning="`vae_computing_s` of generation 0", empty="as `first_generation_s`"),
        Metric("cold_weight_transfer_s", REAL, meaning="`weight_transfer_s` of generation 0", empty="as `first_generation_s`"),
        Metric("compilation_s", REAL, meaning="time of compilation in all generations, added up", empty="nothing was compiled"),
    ),
    "Memory": (
        Metric("gpu_mem_allocated_bytes", REAL, report=SUMMARY, decimals=2, scale=1e-9, over_gpus=FIRST, label="Mem(GB)", meaning="highest memory that torch had allocated on the GPU", empty="no stage has it, as on the CPU"),
        Metric("gpu_mem_reserved_bytes", REAL, over_gpus=FIRST, meaning="what torch's allocator held", empty="no stage has it, as on the CPU"),
        Metric("gpu_mem_used_bytes", REAL, over_gpus=HIGHEST, meaning="what was used of the whole GPU (NVML)", empty="not sampled, or no GPU"),
        Metric("sys_mem_bytes", REAL, meaning="what was used of the whole machine's memory", empty="not sampled"),
        Metric("container_mem_bytes", REAL, meaning="what all processes under the container's limit used of it", empty="no limit, not sampled"),
        Metric("process_mem_bytes", REAL, meaning="resident memory of the case's processes, added up; pages that several share count for each", empty="not sampled"),
        Metric("estimated_peak_bytes", WHOLE, report=SUMMARY, decimals=2, scale=1e-9, label="Est. Mem(GB)", meaning="`gpu_mem_allocated_bytes` as estimated from the settings alone", empty="tiny models, or attention `_native_math`"),
    ),
    "Load and energy": (
        Metric("inference_sm_activity_pct", REAL, report=SUMMARY, decimals=1, over_gpus=MEAN, label="SM(%)", meaning="SM activity over the inference stages of the measured generations, weighted by time", empty="not known of 90 % of that time"),
        Metric("inference_cpu_pct", REAL, report=STATISTICS, decimals=1, label="Avg CPU Utilization", meaning="CPU over the inference stages: the whole machine's, of all logical cores", empty="not known of 90 % of that time"),
        Metric("inference_comp_load_pct_s", REAL, report=STATISTICS, decimals=0, over_gpus=MEAN, label="Total Inference Load", meaning="SM activity times time over the inference stages", empty="not known of 99 % of that time"),
        Metric("total_comp_load_pct_s", REAL, report=SUMMARY, decimals=0, over_gpus=MEAN, label="Load", meaning="SM activity times time over `Total_Execution`: 100 % for 10 s is 1000", empty="not sampled, not reached, or no GPU"),
        Metric("energy_j", REAL, report=SUMMARY, decimals=2, scale=1e-3, over_gpus=SUM, label="Energy(kJ)", meaning="energy of the GPU over `Total_Execution`, all generations included", empty="not measured to the end, or no GPU"),
        Metric("power_mean_w", REAL, report=SUMMARY, decimals=0, over_gpus=SUM, label="Power(W)", meaning="`energy_j` over `total_execution_s`", empty="as `energy_j`"),
        Metric("step_energy_j", REAL, meaning="median energy of a typical step; with a cache, or where steps take less than a second, their mean power times `step_s`", empty="not known"),
        Metric("generation_energy_j", REAL, over_gpus=SUM, meaning="energy of one more video; it goes with `generation_excl_compilation_s`", empty="as that, or no generation has one"),
        Metric("cold_generation_energy_j", REAL, over_gpus=SUM, meaning="the same of generation 0", empty="not complete, excluded, or not known"),
        Metric("video_second_energy_j", REAL, report=STATISTICS, decimals=0, over_gpus=SUM, label="Energy per Second of Video", meaning="energy of one generation, without initialisation and compilation, for each second of its video", empty="as `generation_energy_j`"),
        Metric("passes_reused", REAL, report=STATISTICS, decimals=0, label="Passes Reused by the Cache", meaning="guidance passes of complete steps that the cache served, in the measured generations", empty="no cache, or no such step"),
        Metric("passes", REAL, meaning="all guidance passes of these steps", empty="as `passes_reused`"),
    ),
    "The video": _VIDEO,
    "Hardware and software": (
        Metric("started_at", TEXT, meaning="start of the measuring process, ISO 8601 in UTC"),
        Metric("device", TEXT, meaning="cuda or cpu", empty="not told"),
        Metric("gpu_name", TEXT, meaning="name of the GPU", empty="not told"),
        Metric("gpu_uuid", TEXT, meaning="UUID of the GPU", empty="not told"),
        Metric("gpu_mem_total_bytes", WHOLE, meaning="memory of the GPU, as torch gives it", empty="not told"),
        Metric("gpu_compute_capability", TEXT, meaning="CUDA compute capability", empty="not told"),
        Metric("torch", TEXT, meaning="version of torch", empty="not told"),
        Metric("cuda", TEXT, meaning="CUDA version that torch was built with", empty="not told, or built without"),
        Metric("matmul_flops_per_s", REAL, meaning="median rate of bfloat16 products of 8192 x 8192 after the case", empty="no GPU, not complete, or CUDA refused"),
        Metric("matmul_s", REAL, meaning="what measuring that took, with pauses; part of `total_duration_s`", empty="no GPU, or not complete"),
        Metric("gpu_driver", TEXT, meaning="version of the driver", empty="not told"),
        Metric("gpu_power_limit_w", REAL, meaning="power limit in force", empty="not told"),
        Metric("gpu_sm_clock_max_mhz", REAL, meaning="highest clock of the multiprocessors", empty="not told"),
        Metric("gpu_power_limit_default_w", REAL, meaning="power limit as delivered", empty="not told"),
        Metric("gpu_sm_clock_set_mhz", REAL, meaning="clock that somebody set for the multiprocessors (NVML: applications clock)", empty="not told"),
        Metric("gpu_sm_clock_default_mhz", REAL, meaning="the same as delivered", empty="not told"),
        Metric("gpu_persistence_mode", TRUTH, meaning="whether the driver stays loaded while nobody uses the GPU", empty="not told"),
        Metric("gpu_ecc", TRUTH, meaning="whether errors of the GPU's memory are corrected (ECC)", empty="not told"),
        Metric("gpu_mig_mode", TRUTH, meaning="whether the GPU is divided into instances (MIG)", empty="not told"),
        Metric("gpu_numa_node", WHOLE, meaning="node of the host's memory (NUMA) that the GPU is at", empty="not told, or the host has one node"),
        Metric("gpu_telemetry_error", TEXT, meaning="why NVML told nothing, where there is or may be a GPU", empty="nothing to say"),
        Metric("gpu_refused", TEXT, meaning="what NVML did not tell, each with its reason; an empty text: nothing", empty="no GPU"),
        Metric("torch_refuses_gpu", TEXT, meaning="why torch uses no GPU", empty="nothing: it uses one"),
        Metric("sm_activity_source", TEXT, meaning="gpm_sm_utilisation, or before Hopper nvml_gpu_utilisation, the share of time in which any kernel ran", empty="not told"),
        Metric("gpm_counter_refresh_found", TRUTH, meaning="whether the times of GPM's counter refreshes are known ([measures.md](measures.md))", empty="not with GPM"),
        Metric("cpu_name", TEXT, meaning="name of the CPU", empty="not told"),
        Metric("cpu_cores_logical", WHOLE, meaning="logical cores of the machine", empty="not told"),
        Metric("cpu_cores_allowed", WHOLE, meaning="of these, the ones that the case may run on", empty="not told"),
        Metric("cpu_quota_cores", REAL, meaning="cores that the container may use, by its CPU quota", empty="no quota"),
        Metric("cpu_governor", TEXT, meaning="how the kernel sets the cores' clocks", empty="not told"),
        Metric("cpu_numa_nodes", TEXT, meaning="nodes of memory that these cores are at", empty="not told"),
        Metric("cpu_threads_torch", WHOLE, meaning="threads that torch computes with on the CPU", empty="not told"),
        Metric("sys_mem_total_bytes", WHOLE, meaning="memory of the machine", empty="not told"),
        Metric("mem_limit_bytes", WHOLE, meaning="memory that the container may use", empty="no limit"),
        Metric("variables", TEXT, meaning="environment variables that change speed, as NAME=value with semicolons between them; the value is left out where it may hold a path or a secret; an empty text: none", empty="not told"),
        Metric("platform", TEXT, meaning="system and architecture", empty="not told"),
        Metric("python", TEXT, meaning="version of Python", empty="not told"),
        Metric("software_deployment", TEXT, meaning="where the software is from: conda or none", empty="not told"),
        Metric("conda_env", TEXT, meaning="folder name of the conda environment, a hash", empty="not told, or without conda"),
        Metric("packages", TEXT, meaning="name=version of each package that is installed, with blanks between them", empty="not told"),
        Metric("git_commit", TEXT, meaning="commit of the project's checkout", empty="no git, or no repository of the project's own, as of a downloaded archive"),
        Metric("git_dirty", TRUTH, meaning="whether the code differed from that commit", empty="no commit"),
        Metric("git_changed", TEXT, meaning="which parts of the code differed from it", empty="none"),
        Metric("image_changes", TEXT, meaning="how diffusers reads the first frame otherwise than its file has it", empty="nothing"),
        Metric("case_sha256", TEXT, meaning="SHA-256 of all settings"),
        Metric("measure_digest", TEXT, meaning="digest of the measuring code"),
    ),
}

DETAILS = {"": (
    Metric("case", TEXT, meaning="name of the case"),
    Metric("detail", TEXT, meaning="Process_Group, Initialize_... (a component), Placement, VAE_Encoding, CFG_cond, CFG_uncond, Video_Postprocess, Offload_All or Video_Encoding"),
    Metric("generation", WHOLE, meaning="number of the generation, from 0", empty="none: model initialisation"),
    Metric("start_s", REAL, meaning="its begin, since the start of the measuring process"),
    Metric("time_s", REAL, meaning="how long it took, with what lies in it"),
)}
EXCLUDED = {"": (
    Metric("case", TEXT, meaning="name of the case"),
    Metric("reason", TEXT, meaning="why its trace is not used"),
    Metric("of_grid", TRUTH, meaning="whether the grid has such a case, which the report then lacks"),
)}
FINDINGS = {"": (
    Metric("case", TEXT, meaning="name of the case"),
    Metric("rule", TEXT, meaning="name of the rule, the same in all reports"),
    Metric("severity", TEXT, meaning="warning, bottleneck or note"),
    Metric("evidence", TEXT, meaning="JSON: the figures that the rule fired on, with units in their keys"),
    Metric("text", TEXT, meaning="what was found"),
    Metric("advice", TEXT, meaning="what to do; an empty text: nothing"),
    Metric("advised", TEXT, meaning="JSON: alternatives, each a list of settings to change together: `key: value`, or `key` for any other value"),
)}
# Ways to make a video: what is made, how, and what that takes.
WORKLOAD = ("model", "task", "size", "frames", "guidance", "gpu_name")
WAY = ("weights", *settings.keys(settings.METHOD))
_OF_CASES = {metric.key: metric for group in CASES.values() for metric in group}
WAYS = {"": (
    *(replace(_OF_CASES[key], meaning="as in cases", empty="as in cases") for key in (*WORKLOAD, *WAY)),
    Metric("printed", TEXT, meaning="what a grid file says for them; `stock`: nothing, it is the pipeline as it comes"),
    Metric("fidelity", TEXT, meaning="what they do to the video: exact (nothing), rounding (the same operations in another order) or lossy (another arithmetic)"),
    Metric("cases", TEXT, meaning="names of the cases with these settings, with commas between them"),
    Metric("n", WHOLE, meaning="number of cases that the figures are of"),
    Metric("fits", TRUTH, meaning="whether one of them ran to its end; else they ran out of GPU memory"),
    Metric("kind", TEXT, meaning="warm or cold: times are of generations after the first of a process, where all ways of the workload have one, or of the first", empty="does not fit"),
    Metric("scaled", TRUTH, meaning="whether all of them ran another number of steps than the official one, so that `step_s` stands for the difference"),
    Metric("time_s", REAL, meaning="median time of one generation at the official steps, without initialisation and compilation", empty="does not fit, or no typical step"),
    Metric("time_min_s", REAL, meaning="least of the same", empty="as `time_s`"),
    Metric("time_max_s", REAL, meaning="greatest of the same", empty="as `time_s`"),
    Metric("energy_j", REAL, meaning="energy of the same generation, of all its GPUs", empty="not known"),
    Metric("step_s", REAL, meaning="median of the cases' `step_s`", empty="no typical step"),
    Metric("vae_computing_s", REAL, meaning="time of VAE_Decoding without weight transfers", empty="does not fit"),
    Metric("compilation_s", REAL, meaning="paid once for each process", empty="nothing is compiled"),
    Metric("gpu_mem_allocated_bytes", REAL, meaning="highest memory that torch had allocated on a GPU", empty="does not fit"),
    Metric("gpu_mem_reserved_bytes", REAL, meaning="highest memory that torch's allocator held", empty="does not fit"),
    Metric("gpu_mem_used_bytes", REAL, meaning="highest use of the whole GPU's memory", empty="does not fit, or not sampled"),
    Metric("gpu_mem_total_bytes", REAL, meaning="memory of the GPU"),
    Metric("host_mem_bytes", REAL, meaning="highest memory of the case's processes, or of the whole machine where that is less", empty="not sampled"),
    Metric("latent_error_rel", REAL, meaning="largest of the cases' `latent_error_rel`, beside the stock case of their steps", empty="as there"),
    Metric("psnr_db", REAL, meaning="least of the cases' `psnr_db`", empty="as there"),
    Metric("ssim", REAL, meaning="least of the cases' `ssim`", empty="as there"),
    Metric("rounding_error_rel", REAL, meaning="the same as `latent_error_rel`, of cases that differ from that stock case in rounding alone: what is no more than that cannot be told from it", empty="there is no such case"),
    Metric("rounding_psnr_db", REAL, meaning="likewise `psnr_db`", empty="as `rounding_error_rel`"),
    Metric("rounding_ssim", REAL, meaning="likewise `ssim`", empty="as `rounding_error_rel`"),
    Metric("videos_per_hour", REAL, meaning="3600 over `time_s`", empty="as `time_s`"),
    Metric("cost", REAL, meaning="of one video, by `config/prices.yaml`: `time_s` times GPUs times the price of a GPU hour, plus `energy_j` times that of a kWh; without idle time, host and cooling", empty="no price"),
    Metric("co2_g", REAL, meaning="grams of CO2 of one video: `energy_j` times what `config/prices.yaml` says of a kWh", empty="not said"),
    Metric("best_at", TEXT, meaning="among settings on as many GPUs that leave the video as it is (a lossy one: among all): fastest, least memory (allocated), least energy, or trade-off (nothing has less time or memory without more of the other); an empty text: nothing"),
)}
COMPARISON = {"": (
    Metric("case", TEXT, meaning="name of the case in this run"),
    Metric("old_case", TEXT, meaning="name of the case in the baseline"),
    Metric("kind", TEXT, meaning="measure, or stage: its time, which decides nothing"),
    Metric("name", TEXT, meaning="the measure, or the stage"),
    Metric("unit", TEXT, meaning="unit of `old`, `new` and `spread`: s, bytes, J or pct_s (percent-seconds)"),
    Metric("old", REAL, meaning="value in the baseline: the median where there are several", empty="not measured"),
    Metric("new", REAL, meaning="value in this run, likewise", empty="not measured"),
    Metric("ratio", REAL, meaning="`new` over `old`", empty="one of them was not measured, or `old` is 0"),
    Metric("spread", REAL, meaning="change that chance could make: three standard errors of the difference of the two medians", empty="no side has more than one value"),
    Metric("verdict", TEXT, meaning="faster, slower, less, more, same, within the spread, or why there is none; n/a: a side was not measured"),
)}
# fmt: on

TABLES = {
    "cases": CASES,
    "fidelity": FIDELITY,
    "stages": STAGES,
    "details": DETAILS,
    "excluded": EXCLUDED,
    "findings": FINDINGS,
    "settings": WAYS,
    "kernels": KERNELS,
    "longest_kernels": LONGEST_KERNELS,
    "comparison": COMPARISON,
}


def dtype(metric: Metric) -> str:
    """The type of its column in pandas."""
    return _DTYPES[metric.type]


def _columns(table: dict[str, tuple[Metric, ...]]) -> dict[str, str]:
    return {metric.key: dtype(metric) for group in table.values() for metric in group}


CASE_COLUMNS, STAGE_COLUMNS, DETAIL_COLUMNS, EXCLUDED_COLUMNS = map(_columns, (CASES, STAGES, DETAILS, EXCLUDED))
FINDING_COLUMNS, SETTINGS_COLUMNS, COMPARISON_COLUMNS = map(_columns, (FINDINGS, WAYS, COMPARISON))
KERNEL_COLUMNS, LONGEST_COLUMNS = map(_columns, (KERNELS, LONGEST_KERNELS))
FIDELITY_COLUMNS = _columns(FIDELITY)


def shown_in(report: str) -> dict[str, str]:
    """What each column or line of a table of the report means, by its label there."""
    of_cases = (metric for group in CASES.values() for metric in group)
    return {metric.label: metric.meaning for metric in (*of_cases, *OF_STAGES) if metric.report == report}

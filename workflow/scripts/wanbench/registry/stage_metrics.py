"""The metrics of a stage and of the readings it is made of: one row each. All other metrics: `wanbench.registry.metrics`.

What measures imports this file and not that one, so that a new column of a report measures nothing again. All but key and
type are given by name: what is for readers alone (`label`, `meaning`, `empty`, `report`, `decimals`, `scale`,
`over_generations`) decides no measurement, and a digest can leave it out.
"""

from collections.abc import Mapping
from dataclasses import KW_ONLY, dataclass, field
from typing import Any

TEXT, WHOLE, REAL, TRUTH = "text", "whole", "real", "truth"
# How readings become a figure of a stage. MEAN is over readings of an instant; INTERVAL_MEAN is over readings that each
# describe the time since the one before, weighted by time.
INTERVAL_MEAN, MEAN, HIGHEST, DIFFERENCE = "interval mean", "mean", "highest", "difference of a counter"
# How several generations, or several GPUs, become one.
MEDIAN, SUM, ANY, FIRST = "median", "sum", "any", "first"
# Whether a stage of a trace has the key, and whether it may be null.
REQUIRED, OPTIONAL, NULLABLE = "required", "optional", "nullable"
SUMMARY, STATISTICS, STAGE_TABLE = "summary", "statistics", "stage table"


@dataclass(frozen=True)
class Metric:
    """One metric of one table; its unit is the end of its key.

    Attributes:
        type: text, whole, real or truth.
        report: the table of the report that shows it, under `label`, which has the printed unit.
        decimals, scale: how it is printed there, and the factor to the printed unit.
        meaning, empty: what it is, and when it is empty; without `empty`, no cell is.
        over_time: how readings over time are joined with a stage.
        reading: key of these readings where it is not the metric's own.
        over_generations: how the report's stage table joins the stages of several generations.
        over_gpus: how several GPUs are joined.
        track: Perfetto track of the readings, its line, and the factor from the reading to the track's unit.
        trace: whether a stage of a trace has it: required, optional or nullable; a metric without is none of a trace's.
        schema: what the trace's schema asks of it beyond its type.
    """

    key: str
    type: str
    _: KW_ONLY
    report: str = ""
    decimals: int = 2
    scale: float = 1.0
    over_time: str = ""
    reading: str = ""
    over_generations: str = ""
    over_gpus: str = ""
    track: tuple[str, str, float] = ("", "", 1)
    trace: str = ""
    schema: Mapping[str, Any] = field(default_factory=dict)
    label: str = ""
    meaning: str = ""
    empty: str = ""


# The groups of the stages table, by heading. In the order of the columns.
# fmt: off
STAGES: dict[str, tuple[Metric, ...]] = {
    "The stage and its time": (
        Metric("case", TEXT, meaning="name of the case"),
        Metric("stage", TEXT, meaning="name of the stage"),
        Metric("generation", WHOLE, trace=REQUIRED, schema={"type": ["integer", "null"]}, meaning="number of the generation, from 0", empty="none: `Process_Startup`, `Model_Initialization`, `Total_Execution`"),
        Metric("measured", TRUTH, trace=REQUIRED, meaning="whether figures are made of its generation; true for a stage of none"),
        Metric("excluded", TEXT, meaning="failed checks for which its generation is excluded, with blanks between them", empty="not excluded"),
        Metric("start_s", REAL, meaning="its begin, since the start of the measuring process"),
        Metric("extent_s", REAL, meaning="from its first to its last instant; other stages may lie in it"),
        Metric("time_s", REAL, report=STAGE_TABLE, over_generations=MEDIAN, trace=REQUIRED, label="Time (s)", meaning="wall clock between its boundaries, without the stages that lie in it (`Total_Execution` keeps them); the device is synchronised at both"),
        Metric("flops", REAL, report=STAGE_TABLE, decimals=1, scale=1e-12, over_generations=MEDIAN, over_gpus=SUM, trace=OPTIONAL, schema={"type": "integer"}, label="TFLOP", meaning="floating-point operations by the model's formulas, not a rate", empty="not counted, as with a cache, or cut short"),
        Metric("interrupted", TRUTH, report=STAGE_TABLE, over_generations=ANY, trace=OPTIONAL, schema={"const": True}, label="Interrupted", meaning="the case ended in this stage, which has the time up to that", empty="not cut short"),
        Metric("step", WHOLE, trace=OPTIONAL, meaning="number of the denoising step, from 0", empty="no step"),
        Metric("expert", TEXT, trace=OPTIONAL, schema={"enum": ["high_noise", "low_noise"]}, meaning="high_noise or low_noise: the expert that the step runs", empty="no expert, or cut short"),
    ),
    "Memory of torch": (
        Metric("gpu_mem_allocated_bytes", WHOLE, report=STAGE_TABLE, decimals=2, scale=1e-9, over_generations=HIGHEST, over_gpus=FIRST, trace=NULLABLE, label="GPU Mem (GB)", meaning="highest memory that torch had allocated; that of a whole step stands with its inference", empty="not on the GPU, `Step_i_Loading`, or cut short"),
        Metric("gpu_mem_reserved_bytes", WHOLE, report=STAGE_TABLE, decimals=2, scale=1e-9, over_generations=HIGHEST, over_gpus=FIRST, trace=NULLABLE, label="GPU Reserved (GB)", meaning="highest memory that torch's allocator held", empty="as `gpu_mem_allocated_bytes`"),
    ),
    "Sampled": (
        Metric("cpu_pct", REAL, report=STAGE_TABLE, decimals=1, over_time=INTERVAL_MEAN, over_generations=MEDIAN, track=("CPU (%)", "machine", 1), trace=NULLABLE, label="CPU (%)", meaning="the whole machine's, of all logical cores; in a stage of few samples good to some percent", empty="not sampled"),
        Metric("sys_mem_bytes", REAL, report=STAGE_TABLE, decimals=2, scale=1e-9, over_time=HIGHEST, over_generations=HIGHEST, track=("System memory (GB)", "machine", 1e-9), trace=NULLABLE, label="Sys Mem (GB)", meaning="highest use of the whole machine's memory", empty="not sampled"),
        Metric("sys_mem_mean_bytes", REAL, over_time=MEAN, reading="sys_mem_bytes", trace=NULLABLE, meaning="mean of the same", empty="not sampled"),
        Metric("sm_activity_pct", REAL, report=STAGE_TABLE, decimals=1, over_time=INTERVAL_MEAN, over_generations=MEDIAN, over_gpus=MEAN, track=("GPU activity (%)", "SM", 1), trace=NULLABLE, label="SM Act (%)", meaning="share of time in which multiprocessors had work (GPM; before Hopper NVML's GPU utilisation)", empty="not sampled"),
        Metric("comp_load_pct_s", REAL, report=STAGE_TABLE, decimals=0, over_generations=MEDIAN, over_gpus=MEAN, trace=NULLABLE, label="Comp Load", meaning="SM activity times time: 100 % for 10 s is 1000", empty="not sampled"),
        Metric("sm_occupancy_pct", REAL, over_time=INTERVAL_MEAN, over_gpus=MEAN, track=("GPU activity (%)", "SM occupancy", 1), trace=NULLABLE, meaning="warps that were active, of the most that can be (GPM)", empty="not sampled"),
        Metric("tensor_activity_pct", REAL, report=STAGE_TABLE, decimals=1, over_time=INTERVAL_MEAN, over_generations=MEDIAN, over_gpus=MEAN, track=("GPU activity (%)", "tensor", 1), trace=NULLABLE, label="Tensor (%)", meaning="share of time in which tensor cores computed (GPM)", empty="not sampled"),
        Metric("dram_activity_pct", REAL, report=STAGE_TABLE, decimals=1, over_time=INTERVAL_MEAN, over_generations=MEDIAN, over_gpus=MEAN, track=("GPU activity (%)", "DRAM", 1), trace=NULLABLE, label="DRAM (%)", meaning="bandwidth of the GPU's memory that was used, of the most that can be (GPM)", empty="not sampled"),
        Metric("graphics_activity_pct", REAL, over_time=INTERVAL_MEAN, over_gpus=MEAN, track=("GPU activity (%)", "graphics", 1), trace=NULLABLE, meaning="share of time in which anything ran on the GPU (GPM)", empty="not sampled"),
        Metric("pcie_tx_bytes_per_s", REAL, over_time=INTERVAL_MEAN, over_gpus=SUM, track=("PCIe (GB/s)", "from GPU", 1e-9), trace=NULLABLE, meaning="PCIe traffic from the GPU (GPM)", empty="not sampled"),
        Metric("pcie_rx_bytes_per_s", REAL, over_time=INTERVAL_MEAN, over_gpus=SUM, track=("PCIe (GB/s)", "to GPU", 1e-9), trace=NULLABLE, meaning="PCIe traffic to the GPU (GPM)", empty="not sampled"),
        Metric("nvlink_tx_bytes_per_s", REAL, over_time=INTERVAL_MEAN, over_gpus=SUM, track=("NVLink (GB/s)", "from GPU", 1e-9), trace=NULLABLE, meaning="NVLink traffic from the GPU, over all its links (GPM)", empty="not sampled, no NVLink"),
        Metric("nvlink_rx_bytes_per_s", REAL, over_time=INTERVAL_MEAN, over_gpus=SUM, track=("NVLink (GB/s)", "to GPU", 1e-9), trace=NULLABLE, meaning="NVLink traffic to the GPU, over all its links (GPM)", empty="not sampled, no NVLink"),
        Metric("gpu_mem_used_bytes", REAL, report=STAGE_TABLE, decimals=2, scale=1e-9, over_time=HIGHEST, over_generations=HIGHEST, over_gpus=HIGHEST, track=("GPU memory (GB)", "device", 1e-9), trace=NULLABLE, label="GPU Used (GB)", meaning="highest use of the whole GPU's memory (NVML)", empty="not sampled"),
        Metric("gpu_mem_used_mean_bytes", REAL, over_time=MEAN, reading="gpu_mem_used_bytes", over_gpus=HIGHEST, trace=NULLABLE, meaning="mean of the same", empty="not sampled"),
        Metric("gpu_mem_process_bytes", REAL, over_time=HIGHEST, over_gpus=HIGHEST, track=("GPU memory (GB)", "measured process", 1e-9), trace=NULLABLE, meaning="highest memory of the GPU that the case's own processes had (NVML)", empty="not sampled, or not on the GPU yet"),
        Metric("gpu_mem_process_mean_bytes", REAL, over_time=MEAN, reading="gpu_mem_process_bytes", over_gpus=HIGHEST, trace=NULLABLE, meaning="mean of the same", empty="as `gpu_mem_process_bytes`"),
        Metric("energy_j", REAL, report=STAGE_TABLE, decimals=0, over_time=DIFFERENCE, over_generations=MEDIAN, over_gpus=SUM, track=("GPU energy (kJ)", "since driver load", 1e-3), trace=NULLABLE, label="Energy (J)", meaning="growth of NVML's energy counter over the stage's own time", empty="not sampled for a second on end, or the counter was not read before and after"),
        Metric("extent_energy_j", REAL, over_gpus=SUM, trace=OPTIONAL, meaning="growth of the same over `extent_s`, with the stages that lie in it", empty="not read before and after"),
        Metric("power_w", REAL, report=STAGE_TABLE, decimals=0, over_time=MEAN, over_generations=MEDIAN, over_gpus=SUM, track=("GPU power (W)", "power", 1), trace=NULLABLE, label="Power (W)", meaning="mean power of the samples; in a stage of few, tens of watts off energy over time", empty="not sampled for a second on end"),
        Metric("power_cap_pct", REAL, over_gpus=ANY, trace=OPTIONAL, schema={"maximum": 100}, meaning="share of its samples in which the power limit held the clocks down", empty="not sampled"),
        Metric("temperature_c", REAL, over_time=HIGHEST, over_gpus=HIGHEST, track=("GPU temperature (C)", "temperature", 1), trace=NULLABLE, meaning="highest temperature of the GPU", empty="not sampled"),
        Metric("sm_clock_mhz", REAL, over_time=MEAN, over_gpus=MEAN, track=("GPU clock (MHz)", "SM", 1), trace=NULLABLE, meaning="mean clock of the multiprocessors", empty="not sampled"),
        Metric("mem_clock_mhz", REAL, over_time=MEAN, over_gpus=MEAN, track=("GPU clock (MHz)", "memory", 1), trace=NULLABLE, meaning="mean clock of the GPU's memory", empty="not sampled"),
        Metric("process_cpu_pct", REAL, report=STAGE_TABLE, decimals=1, over_time=INTERVAL_MEAN, over_generations=MEDIAN, track=("CPU (%)", "measured process", 1), trace=NULLABLE, label="Process CPU (%)", meaning="what the case's processes had of all logical cores", empty="not sampled"),
        Metric("process_mem_bytes", REAL, report=STAGE_TABLE, decimals=2, scale=1e-9, over_time=HIGHEST, over_generations=HIGHEST, track=("System memory (GB)", "measured process", 1e-9), trace=NULLABLE, label="Process Mem (GB)", meaning="highest resident memory of the case's processes, added up; shared pages count for each", empty="not sampled"),
        Metric("container_cpu_pct", REAL, over_time=INTERVAL_MEAN, track=("CPU (%)", "container", 1), trace=OPTIONAL, meaning="what all processes under the container's CPU quota had of it", empty="no quota, not sampled"),
        Metric("container_mem_bytes", REAL, over_time=HIGHEST, over_generations=HIGHEST, track=("System memory (GB)", "container", 1e-9), trace=OPTIONAL, meaning="highest memory of all processes under the container's limit, without page cache that is not in use", empty="no limit, not sampled"),
        Metric("process_mem_mean_bytes", REAL, over_time=MEAN, reading="process_mem_bytes", trace=NULLABLE, meaning="mean of the same", empty="not sampled"),
        Metric("samples", WHOLE, report=STAGE_TABLE, decimals=0, over_generations=SUM, trace=REQUIRED, label="Samples", meaning="samples taken in the stage's own time; a stage that is not sampled may have some"),
    ),
    "Weight transfers, cache and checkpoint": (
        Metric("transfers", WHOLE, trace=OPTIONAL, schema={"minimum": 1}, meaning="transfers of weights between host and GPU", empty="not watched, or cut short"),
        Metric("loading_s", REAL, report=STAGE_TABLE, over_generations=MEDIAN, trace=OPTIONAL, label="Loading (s)", meaning="time of weight transfers to the GPU; with group_stream, only while the GPU waits for them", empty="not watched, or cut short"),
        Metric("offloading_s", REAL, report=STAGE_TABLE, over_generations=MEDIAN, trace=OPTIONAL, label="Offloading (s)", meaning="time of weight transfers from the GPU", empty="not watched, or cut short"),
        Metric("loaded_bytes", WHOLE, trace=OPTIONAL, meaning="weights transferred to the GPU", empty="not watched, or cut short"),
        Metric("offloaded_bytes", WHOLE, trace=OPTIONAL, meaning="weights transferred from the GPU", empty="not watched, or cut short"),
        Metric("passes_reused", WHOLE, trace=OPTIONAL, meaning="guidance passes of the step that the cache served", empty="no cache, any stage but `Step_i_Inference`, or cut short"),
        Metric("checkpoint_bytes", WHOLE, trace=OPTIONAL, meaning="size of the checkpoint's safetensors files", empty="no checkpoint folder, another stage than `Model_Initialization`, or cut short"),
        Metric("disk_read_bytes", WHOLE, trace=OPTIONAL, meaning="what the measured process made the kernel read from disks; what the page cache had is not in it", empty="as `checkpoint_bytes`, or Linux did not tell"),
    ),
}
# Readings that no stage has a figure of.
READINGS = (
    Metric("clock_event_reasons", WHOLE, over_gpus=ANY, track=("Clock event reasons (bits)", "bits", 1), meaning="NVML's bit mask of what held the clocks down"),
    Metric("other_processes", WHOLE, over_gpus=SUM, track=("Other processes", "count", 1), meaning="compute processes on the GPU that are not the case's; one on two GPUs counts on each"),
    Metric("other_processes_mem_bytes", WHOLE, over_gpus=SUM, track=("GPU memory (GB)", "others", 1e-9), meaning="memory of the GPU that they had"),
)
# fmt: on

# nvmlClocksEventReasonSwPowerCap
POWER_CAP_BIT = 0x4
# NVML's energy counter moves every 0.1 s (seen on an H200), and when in between is not known: a boundary is off by up to
# that. Over less than ten of these, an energy would be off by more than a tenth.
SHORTEST_WITH_ENERGY_S = 1.0

OF_STAGES = tuple(metric for group in STAGES.values() for metric in group)
SAMPLED = tuple(metric for metric in OF_STAGES if metric.over_time)
# By the key of a reading.
READ = {metric.key: metric for metric in (*OF_STAGES, *READINGS) if metric.track[0]}

"""Columns of the tables of kernels."""

from wanbench.registry.stage_metrics import REAL, TEXT, WHOLE, Metric

# fmt: off
KERNELS = {"": (
    Metric("case", TEXT, meaning="name of the case"),
    Metric("stage", TEXT, meaning="Step, a typical one, or VAE_Decoding"),
    Metric("class", TEXT, meaning="class of the kernels, by their names; gaps: no kernel ran; without a GPU, of operators"),
    Metric("time_s", REAL, meaning="sum of their times under the profiler"),
    Metric("count", WHOLE, meaning="how many ran"),
    Metric("share_pct", REAL, meaning="`time_s` as a share of the profiled stage; more than 100 in all where streams overlap"),
    Metric("flops_per_s", REAL, meaning="operations, by the model's formulas, over `time_s`", empty="not counted"),
    Metric("at_rate_s", REAL, meaning="what the operations take at the rate of matrix products (bfloat16) that was measured in the same process", empty="not counted, or not in 16 bits"),
    Metric("to_gain_pct", REAL, meaning="`time_s` less `at_rate_s`, as a share of the profiled stage", empty="as `at_rate_s`"),
    Metric("profiled_s", REAL, meaning="time of the whole stage under the profiler"),
    Metric("unprofiled_s", REAL, meaning="time of the same without it, in the same process"),
)}
LONGEST_KERNELS = {"": (
    Metric("case", TEXT, meaning="name of the case"),
    Metric("stage", TEXT, meaning="Step, a typical one, or VAE_Decoding"),
    Metric("kernel", TEXT, meaning="its name, cut to 120 characters; without a GPU, of an operator"),
    Metric("class", TEXT, meaning="as in `kernels`"),
    Metric("shapes", TEXT, meaning="of the tensors of the operator that launched it", empty="the profiler knows no operator"),
    Metric("module", TEXT, meaning="the innermost module that called it, without numbers: `blocks.N.attn1`; or a compiled block, in which modules are not known", empty="none did"),
    Metric("time_s", REAL, meaning="sum of the times of kernels of this name, shapes and module, under the profiler"),
    Metric("count", WHOLE, meaning="how many ran"),
    Metric("share_pct", REAL, meaning="`time_s` as a share of the profiled stage"),
)}
# fmt: on

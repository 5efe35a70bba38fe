"""When findings speak. The values, and the reason for each, stand in config/thresholds.yaml and nowhere else."""

from dataclasses import dataclass

from wanbench.trace.verdict import Limits


@dataclass(frozen=True)
class Thresholds(Limits):
    """The numbers of config/thresholds.yaml, by its keys; `_pct` is in percent."""

    busy_machine_pct: float
    step_scatter_pct: float
    low_sm_activity_pct: float
    transfer_bound_pct: float
    compute_bound_sm_pct: float
    compute_bound_tensor_pct: float
    full_gpu_memory_pct: float
    full_host_memory_pct: float
    dominant_stage_pct: float
    expert_switch_pct: float
    slow_attention_pct: float
    launch_gaps_pct: float
    equal_rows_pct: float
    copies_pct: float
    no_effect_step_pct: float
    no_effect_memory_pct: float
    faster_setting_pct: float
    faster_on_another_gpu_pct: float
    alike_generation_pct: float

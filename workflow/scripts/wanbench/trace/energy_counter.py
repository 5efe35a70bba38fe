"""NVML's energy counter, as the samples of a trace hold it."""

TRACK, LINE = "GPU energy (kJ)", "since driver load"
J_PER_UNIT = 1e3

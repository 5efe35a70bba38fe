"""NVML's energy counter, as the samples of a trace hold it."""

TRACK, LINE = "GPU energy (kJ)", "since driver load"
J_PER_UNIT = 1e3
# It moves every 0.1 s (seen on an H200), and when in between is not known: a border is off by up to that. Over less
# than ten of these, an energy would be off by more than a tenth.
SHORTEST_WITH_ENERGY_S = 1.0

"""NVML's clock event reasons, as the samples of a trace hold them."""

TRACK, LINE = "Clock event reasons (bits)", "bits"
# nvmlClocksEventReasonSwPowerCap
POWER_CAP = 0x4

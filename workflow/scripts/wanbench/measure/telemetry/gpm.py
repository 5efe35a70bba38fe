"""GPU Performance Monitoring (GPM) through NVML: what the multiprocessors, tensor cores and memory really do.

Available from Hopper on. A value describes the time between two samples of the same GPU, but a sample is not of the
instant at which it is taken. Seen on two H200 (driver 580): the counters are latched every 100 ms, on a grid that the
host's monotonic clock sees to within a millisecond, and a latch can be read some time later, 65 ms on one of them and
28 ms on the other:

    latch       readable            latch       readable
      |------ 65 ms ----|             |------ 65 ms ----|
      |<------------ 100 ms --------->|         ^ a sample taken here is of the first latch

So a value is of the time between two latches. When they become readable is found once, by `find_readable`; how long
before that they were latched is found in each case, by `wanbench.measure.latch_delay`, from a load of known times.
"""

import math
import time
from types import ModuleType
from typing import Any

# NVML answers with zeros or NaN, and no error, when two samples are closer than this (seen on an H200, driver 580).
MIN_INTERVAL_S = 0.1

LATCH_PERIOD_S = 0.1
# Where it could not be found: the middle of the two that were seen.
LATCH_TO_READABLE_S = 0.046
_POLL_S = 0.004
_POLL_FOR_S = 0.25

_MEBIBYTE = 1024 * 1024

# Key of our sample, name of NVML's metric, factor from its unit to ours.
_METRICS = (
    ("sm_activity_pct", "NVML_GPM_METRIC_SM_UTIL", 1),
    ("sm_occupancy_pct", "NVML_GPM_METRIC_SM_OCCUPANCY", 1),
    ("tensor_activity_pct", "NVML_GPM_METRIC_ANY_TENSOR_UTIL", 1),
    ("dram_activity_pct", "NVML_GPM_METRIC_DRAM_BW_UTIL", 1),
    ("graphics_activity_pct", "NVML_GPM_METRIC_GRAPHICS_UTIL", 1),
    ("pcie_tx_bytes_per_s", "NVML_GPM_METRIC_PCIE_TX_PER_SEC", _MEBIBYTE),
    ("pcie_rx_bytes_per_s", "NVML_GPM_METRIC_PCIE_RX_PER_SEC", _MEBIBYTE),
)


class Gpm:
    """Two alternating GPM samples of one GPU, or of one MIG instance of it.

    Raises:
        NVMLError: from the constructor, where the GPU has no GPM.
    """

    def __init__(self, nvml: ModuleType, device: Any, gpu_instance: int | None) -> None:
        self._nvml = nvml
        self._device = device
        self._gpu_instance = gpu_instance
        if not nvml.nvmlGpmQueryDeviceSupport(device).isSupportedDevice:
            raise nvml.NVMLError(nvml.NVML_ERROR_NOT_SUPPORTED)
        self._samples = [nvml.nvmlGpmSampleAlloc(), nvml.nvmlGpmSampleAlloc()]
        self._sampled_at_s: float | None = None

    def read(self, now_s: float) -> dict[str, float]:
        """Metrics since the last reading; none if that is too short ago, and then the next covers both.

        Args:
            now_s: monotonic time in seconds.
        """
        if self._sampled_at_s is not None and now_s - self._sampled_at_s < MIN_INTERVAL_S:
            return {}
        old, new = self._samples
        self._sample(new)
        first = self._sampled_at_s is None
        self._samples = [new, old]
        self._sampled_at_s = now_s
        return {} if first else self._between(old, new)

    def find_readable(self) -> int | None:
        """Monotonic time in nanoseconds, to 4 ms, at which a new latch could first be read; None if not found.

        All metrics are zero while there is no new latch. PCIe and the graphics engine never are, even when idle.
        """
        base, probe = self._samples
        self._sample(base)
        end_s = time.monotonic() + _POLL_FOR_S
        before_ns = time.monotonic_ns()
        while time.monotonic() < end_s:
            time.sleep(_POLL_S)
            now_ns = time.monotonic_ns()
            self._sample(probe)
            if any(self._between(base, probe).values()):
                return (before_ns + now_ns) // 2
            before_ns = now_ns
        return None

    def close(self) -> None:
        for sample in self._samples:
            self._nvml.nvmlGpmSampleFree(sample)

    def _sample(self, sample: Any) -> None:
        if self._gpu_instance is None:
            self._nvml.nvmlGpmSampleGet(self._device, sample)
        else:
            self._nvml.nvmlGpmMigSampleGet(self._device, self._gpu_instance, sample)

    def _between(self, old: Any, new: Any) -> dict[str, float]:
        request = self._nvml.c_nvmlGpmMetricsGet_t()
        request.version = self._nvml.NVML_GPM_METRICS_GET_VERSION
        request.numMetrics = len(_METRICS)
        request.sample1, request.sample2 = old, new
        for metric, (_, name, _) in zip(request.metrics, _METRICS):
            metric.metricId = getattr(self._nvml, name)
        self._nvml.nvmlGpmMetricsGet(request)
        return {
            key: metric.value * factor
            for metric, (key, _, factor) in zip(request.metrics, _METRICS)
            if metric.nvmlReturn == self._nvml.NVML_SUCCESS and math.isfinite(metric.value)
        }

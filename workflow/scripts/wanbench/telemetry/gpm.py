"""GPU Performance Monitoring (GPM) through NVML: what the multiprocessors, tensor cores and memory really do.

Available from Hopper on. A value describes the time between two samples of the same GPU, but a sample is not of the
instant at which it is taken; `gpm_clock` says of which. Two samples between which the driver has not refreshed the
counters have nothing between them: NVML answers with zeros, and DRAM activity that is no number, without an error. Such
an answer is no reading. But it says that there was no driver refresh between the two, and that is used: a little less
than a period after each reading the sampler takes one more sample, a probe. Every two seconds or so it has the same
counters as the reading, which says when the driver refresh before it was, to 3 ms.
"""

import math
import time
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from wanbench.util.intervals import Interval

# Of counter refreshes and of driver refreshes.
PERIOD_S = 0.1
# So long after a reading, a probe has the same counters only if the driver refresh had just been then.
PROBE_AFTER_S = 0.095
# Key of what a probe may find: when the driver refresh was of the counters that it and the reading before have.
DRIVER_REFRESH_NS = "gpm_driver_refresh_ns"
# An instant that is known less well than to this says nothing that others do not say better.
_KNOWN_TO_S = 0.005

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
    ("nvlink_tx_bytes_per_s", "NVML_GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC", _MEBIBYTE),
    ("nvlink_rx_bytes_per_s", "NVML_GPM_METRIC_NVLINK_TOTAL_RX_PER_SEC", _MEBIBYTE),
)
METRICS = tuple(key for key, _, _ in _METRICS)


def has_same_counters(values: Mapping[str, float]) -> bool:
    """Whether two samples with these values between them have the same counters: else never all values are zero."""
    return bool(values) and not any(values.values())


def driver_refresh_ns(before: Interval, after: Interval) -> int | None:
    """When the driver refresh was of the counters that two samples have in common; None if not known to 5 ms.

    It had been when the first was taken, and the next had not when the second was. All times are monotonic, in
    nanoseconds; of the samples, those at which the calls began and ended.
    """
    earliest_ns, latest_ns = after[0] - round(PERIOD_S * 1e9), before[1]
    if not 0 <= latest_ns - earliest_ns <= 2 * _KNOWN_TO_S * 1e9:
        return None
    return (earliest_ns + latest_ns) // 2


class Gpm:
    """Two alternating GPM samples of one GPU, or of one MIG instance of it.

    Raises:
        NVMLError: from the constructor, where the GPU has no GPM, or does not give it to this account.
    """

    def __init__(self, nvml: ModuleType, device: Any, gpu_instance: int | None) -> None:
        self._nvml = nvml
        self._device = device
        self._gpu_instance = gpu_instance
        if not nvml.nvmlGpmQueryDeviceSupport(device).isSupportedDevice:
            raise nvml.NVMLError(nvml.NVML_ERROR_NOT_SUPPORTED)
        self._last, self._spare = nvml.nvmlGpmSampleAlloc(), nvml.nvmlGpmSampleAlloc()
        self._last_taken_ns: Interval | None = None
        # Some drivers have it, and give it to administrators alone.
        self._sample(self._spare)

    def read(self) -> dict[str, float]:
        """Metrics since the last reading; none without a driver refresh since, and the next covers both times."""
        taken_ns = self._sample(self._spare)
        values = {} if self._last_taken_ns is None else self._between(self._last, self._spare)
        if has_same_counters(values):
            return {}
        self._last, self._spare = self._spare, self._last
        self._last_taken_ns = taken_ns
        return values

    def probe(self) -> int | None:
        """Monotonic time in nanoseconds of the driver refresh of the last reading's counters; None if not found."""
        if self._last_taken_ns is None:
            return None
        taken_ns = self._sample(self._spare)
        if not has_same_counters(self._between(self._last, self._spare)):
            return None
        return driver_refresh_ns(self._last_taken_ns, taken_ns)

    def _sample(self, sample: Any) -> Interval:
        """Take a sample; when the call began and ended, monotonic, in nanoseconds."""
        begin_ns = time.monotonic_ns()
        if self._gpu_instance is None:
            self._nvml.nvmlGpmSampleGet(self._device, sample)
        else:
            self._nvml.nvmlGpmMigSampleGet(self._device, self._gpu_instance, sample)
        return begin_ns, time.monotonic_ns()

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

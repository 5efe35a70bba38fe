"""GPU Performance Monitoring (GPM) through NVML: what the multiprocessors, tensor cores and memory really do.

Available from Hopper on. A value describes the time between two samples of the same GPU.
"""

import math
from types import ModuleType
from typing import Any

# NVML answers with zeros or NaN, and no error, when two samples are closer than this (seen on an H200, driver 580).
MIN_INTERVAL_S = 0.1

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
        if self._gpu_instance is None:
            self._nvml.nvmlGpmSampleGet(self._device, new)
        else:
            self._nvml.nvmlGpmMigSampleGet(self._device, self._gpu_instance, new)
        first = self._sampled_at_s is None
        self._samples = [new, old]
        self._sampled_at_s = now_s
        return {} if first else self._between(old, new)

    def close(self) -> None:
        for sample in self._samples:
            self._nvml.nvmlGpmSampleFree(sample)

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

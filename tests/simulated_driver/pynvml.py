"""The `pynvml` of a machine with the GPUs that SIMULATED_GPUS names, for processes of their own.

With this folder and tests/ on PYTHONPATH (see `simulated_gpus` in conftest.py); calls answer as in fake_nvml.py, until
the file exists that SIMULATED_GPUS_LOST names: from then on every GPU is lost. With SIMULATED_DRIVER_FAILS, a number of
NVML's errors, it does not answer at all.
"""

import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_HERE = Path(__file__).parent

_path, sys.path = sys.path, [entry for entry in sys.path if Path(entry).resolve() != _HERE]
del sys.modules["pynvml"]
real = importlib.import_module("pynvml")
sys.path = _path

from fake_nvml import FakeNvml, refusing  # noqa: E402

_lost = Path(os.environ.get("SIMULATED_GPUS_LOST", "/nowhere"))


def _until_lost(call: Callable[..., Any]) -> Callable[..., Any]:
    def answer(*arguments: Any) -> Any:
        if _lost.exists():
            raise real.NVMLError(real.NVML_ERROR_GPU_IS_LOST)
        return call(*arguments)

    return answer


_driver = FakeNvml(tuple(os.environ["SIMULATED_GPUS"].split(",")))
_driver.driver_period_s = 0.10006
for _name in dir(_driver):
    if _name.startswith("nvml"):
        setattr(real, _name, _until_lost(getattr(_driver, _name)))
real.nvmlInit = real.nvmlShutdown = lambda: None
if "SIMULATED_DRIVER_FAILS" in os.environ:
    real.nvmlInit = refusing(int(os.environ["SIMULATED_DRIVER_FAILS"]))

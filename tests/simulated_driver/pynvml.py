"""The `pynvml` of a machine with the GPUs that SIMULATED_GPUS names, for processes of their own.

With this folder and tests/ on PYTHONPATH (see `simulated_gpus` in conftest.py); calls answer as in fake_nvml.py.
"""

import importlib
import os
import sys
from pathlib import Path

_HERE = Path(__file__).parent

_path, sys.path = sys.path, [entry for entry in sys.path if Path(entry).resolve() != _HERE]
del sys.modules["pynvml"]
real = importlib.import_module("pynvml")
sys.path = _path

from fake_nvml import FakeNvml  # noqa: E402

_driver = FakeNvml(tuple(os.environ["SIMULATED_GPUS"].split(",")))
for _name in vars(FakeNvml):
    if _name.startswith("nvml"):
        setattr(real, _name, getattr(_driver, _name))
real.nvmlInit = real.nvmlShutdown = lambda: None

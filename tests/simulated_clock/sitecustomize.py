"""A wall clock that is set back by three days as soon as the file exists that SIMULATED_CLOCK_SET_BACK names.

With this folder on PYTHONPATH, for processes of their own; the monotonic clock is the machine's.
"""

import datetime
import os
import time
from pathlib import Path

_BACK_S = 3 * 86400
_set_back = Path(os.environ["SIMULATED_CLOCK_SET_BACK"])
_time, _time_ns = time.time, time.time_ns

time.time = lambda: _time() - _BACK_S * _set_back.exists()
time.time_ns = lambda: _time_ns() - _BACK_S * 1_000_000_000 * _set_back.exists()


class _Datetime(datetime.datetime):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> datetime.datetime:
        return cls.fromtimestamp(time.time(), tz)


datetime.datetime = _Datetime

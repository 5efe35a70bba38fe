"""What follows from the registries is as they have it."""

import subprocess
import sys

from conftest import ROOT
from wanbench.registry.settings import ALWAYS, DERIVED, MODEL, ROWS, SETTINGS


def test_generated_files_are_as_the_registries_have_them() -> None:
    done = subprocess.run([sys.executable, "tools/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_rows_of_settings() -> None:
    assert len(SETTINGS) == len(ROWS)
    order = list(SETTINGS)
    for row in ROWS:
        # `completed` fills them in in this order.
        assert all(order.index(key) < order.index(row.key) for key, _ in row.only_with)
        assert row.meaning, row.key
        if row.role != DERIVED and row.default not in (None, MODEL):
            # An older trace may lack each that has a default of its own.
            assert row.neutral is not ALWAYS, row.key

"""Text and files that attack whoever reads them, and how they are met."""

import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from wanbench.util.errors import InputError

MARKUP = '</script><script>alert(1)</script> <img src=x onerror="alert(2)"> | [a](javascript:alert(3)) $x^2$ `b` **c**'
CONTROLS = "a\x00b\x1b[31mc\x9bd\u202ee\u2066f\x7fg\u2028h"
# What is never in a file that is made for reading.
ACTIVE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def refused(action: Callable[[], Any]) -> str:
    """The one line with which it is refused, after little work."""
    begun_s = time.process_time()
    with pytest.raises(InputError) as error:
        action()
    assert time.process_time() - begun_s < 10
    text = str(error.value)
    assert "\n" not in text
    assert len(text) < 1000
    assert not ACTIVE.search(text)
    return text


def paths_in(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Paths to all values within a value of JSON."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key)
        yield from paths_in(item, (*path, key))

"""Keep people's names and secrets out of what is shared."""

import os
from pathlib import Path
from typing import Any

_SECRET_WORDS = ("TOKEN", "SECRET", "PASSWORD", "API_KEY")


def redacted(value: Any) -> Any:
    """The value with the home folder written as `~` and secrets of the environment left out, in any text in it."""
    if isinstance(value, dict):
        return {key: redacted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [redacted(item) for item in value]
    if not isinstance(value, str):
        return value
    for secret in _secrets():
        value = value.replace(secret, "***")
    return value.replace(str(Path.home()), "~")


def _secrets() -> list[str]:
    return [
        text
        for name, text in os.environ.items()
        if len(text) >= 8 and any(word in name.upper() for word in _SECRET_WORDS)
    ]

"""Wrap attributes for the length of a block, and put everything back."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

_ABSENT = object()


class Patches:
    """Replaces attributes of objects and classes; `patching` undoes them in reverse order."""

    def __init__(self, undo: ExitStack) -> None:
        self._undo = undo

    def replace(self, owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> None:
        """Replace `owner.name` by `make(original)`.

        Goes past `__setattr__`, which in modules and pipelines would register the value as a component.
        """
        setter = type.__setattr__ if isinstance(owner, type) else object.__setattr__
        deleter = type.__delattr__ if isinstance(owner, type) else object.__delattr__
        own = owner.__dict__.get(name, _ABSENT)
        setter(owner, name, make(getattr(owner, name)))
        self._undo.callback(*((deleter, owner, name) if own is _ABSENT else (setter, owner, name, own)))


@contextmanager
def patching() -> Iterator[Patches]:
    """Patches that last as long as the block, also when it raises."""
    with ExitStack() as undo:
        yield Patches(undo)

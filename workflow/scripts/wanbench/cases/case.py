"""A case: a name, and everything that decides its run."""

from dataclasses import make_dataclass
from typing import Any

from wanbench.registry.settings import PLACE, SETTINGS, completed, identity, keys
from wanbench.util.digests import sha256_of


class Case(make_dataclass("_Settings", ["name", *SETTINGS], frozen=True)):
    """One resolved case: no key is left to a default.

    Its fields are `name`, a label that decides nothing about the run, and the settings of `wanbench.registry.settings`.
    One without effect is None; `guidance` is a tuple of a scale for each expert.
    """

    @property
    def width_px(self) -> int:
        return int(self.size.split("*")[0])

    @property
    def height_px(self) -> int:
        return int(self.size.split("*")[1])

    @property
    def needs_writing(self) -> bool:
        """Whether its checkpoint is one that this project writes, and has not written yet."""
        return self.checkpoint is not None and self.revision is None and self.checkpoint_sha256 is None

    def settings(self) -> dict[str, Any]:
        """The case as plain JSON values, in the order of the attributes."""
        # Not asdict(), whose deep copies took half of the time to read a grid of 10,000 cases.
        return vars(self) | {"guidance": list(self.guidance)}

    @classmethod
    def from_settings(cls, settings: dict[str, Any]) -> "Case":
        """The case of `settings`, perhaps written before there were some of the settings.

        Raises:
            KeyError: what every case must have is missing.
        """
        return cls(**completed(settings) | {"guidance": tuple(settings["guidance"])})

    def places(self) -> dict[str, str]:
        """Where the files lie that it uses, by key: another place of the same file changes nothing."""
        return {key: path for key in keys(PLACE) if (path := getattr(self, key)) is not None}

    def identity(self) -> dict[str, Any]:
        """What decides its run, as plain JSON values: the settings that are not neutral, without the name."""
        return identity(self.settings())

    @classmethod
    def from_identity(cls, name: str, identity: dict[str, Any], places: dict[str, str]) -> "Case":
        """The case of what `identity` and `places` give."""
        return cls.from_settings({"name": name} | places | identity)


def case_sha256(case: Case) -> str:
    """Digest of what decides a run."""
    return sha256_of(case.identity())

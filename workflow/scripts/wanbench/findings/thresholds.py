"""When findings speak. The values, and the reason for each, stand in config/thresholds.yaml, which a schema checks."""

from types import SimpleNamespace


class Thresholds(SimpleNamespace):
    """The numbers of config/thresholds.yaml, by its keys; `_pct` is in percent."""

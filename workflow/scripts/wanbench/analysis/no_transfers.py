"""Moves of weights between host and device: which stages had none, and of which nobody knows."""

from wanbench.registry import stages as stage_names
from wanbench.trace.reader import StageRecord

_MEASURES = ("transfers", "loading_s", "offloading_s", "loaded_bytes", "offloaded_bytes")


def none_unless_told(stage: StageRecord) -> dict[str, int]:
    """Zeros where moves would have been seen, to stand where the stage does not tell of any.

    Empty for a stage that was cut short before it could tell, and for the export, where the pipeline itself takes all
    weights off the device, which is not watched.
    """
    if stage.generation is None or stage.name == stage_names.VIDEO_EXPORT or stage.measures.get("interrupted"):
        return {}
    return dict.fromkeys(_MEASURES, 0)

"""Rules about cases on several GPUs: what the further ones brought, by a case on one."""

from collections.abc import Iterator

from wanbench.analysis.one_factor_pairs import Neighbour, alike_warm
from wanbench.findings.basis import NOTE, Context, Finding, Rule
from wanbench.findings.gains import energy_change_pct, speed_ratio, step_gain_pct
from wanbench.models.facts import MODELS

_ADVICE = (
    "What gets no faster is what the GPUs do not share: text encoding, VAE decoding, the export and, with offload, "
    "moving weights; and what they exchange in each layer takes time that one GPU does not need."
)


def _parallel_efficiency(context: Context) -> Iterator[Finding]:
    for neighbour in context.neighbours:
        if neighbour.setting == "gpus: 1" and alike_warm(context.case, neighbour.row):
            yield from _beside_one(context, neighbour)


def _beside_one(context: Context, one: Neighbour) -> Iterator[Finding]:
    steps, official = int(context.case["steps"]), MODELS[context.case["model"]].steps
    brought = _brought(context, one, steps)
    if brought is None:
        return
    gpus = int(context.case["gpus"])
    evidence = {"gpus": float(gpus)} | brought
    elsewhere = "" if one.same_gpu else ", on another GPU of this kind"
    text = f"{gpus} GPUs make a video of {steps} steps {_in_words(brought)} (against case {one.row['case']}{elsewhere})"
    in_full = None if steps == official else _brought(context, one, official)
    if in_full is not None:
        evidence |= {f"official_steps_{key}": value for key, value in in_full.items()}
        text += f", and one of the official {official} steps {_in_words(in_full)} (scaled)"
    step_pct = step_gain_pct(context.case, one)
    if step_pct is not None:
        evidence["step_speed_ratio"] = 1 / (1 + step_pct / 100)
        text += f"; steps alone are {evidence['step_speed_ratio']:.2f}x as fast"
    yield Finding("parallel_efficiency", NOTE, evidence, f"{text}.", _ADVICE)


def _brought(context: Context, one: Neighbour, steps: int) -> dict[str, float] | None:
    """How many times as fast so many steps are, that over the GPUs, and by how much their energy is more."""
    ratio_of_one = speed_ratio(context.case, one, steps)
    if ratio_of_one is None:
        return None
    ratio = 1 / ratio_of_one
    brought = {"speed_ratio": ratio, "efficiency_pct": 100 * ratio / int(context.case["gpus"])}
    energy_pct = energy_change_pct(one.row, context.case, steps)
    return brought if energy_pct is None else brought | {"energy_change_pct": energy_pct}


def _in_words(brought: dict[str, float]) -> str:
    text = f"{brought['speed_ratio']:.2f}x as fast as one, {brought['efficiency_pct']:.0f} % parallel efficiency"
    return f"{text}, energy {brought['energy_change_pct']:+.0f} %" if "energy_change_pct" in brought else text


RULES = (
    Rule(
        "parallel_efficiency",
        "How much of several GPUs became speed: a note. It compares with a case of this report that ran on one GPU of "
        "the same name and differs in nothing else (maybe in its steps): how many times as fast a generation is, "
        "without initialisation and compilation, over the number of GPUs. Of few steps it is less than of the official "
        "number, for which s/step stands where the case ran another. The rest "
        "went to what each GPU does by itself, and to the exchange between them. Where a video need not be ready "
        "sooner, as many cases on one GPU each make more videos in the same time, if the weights fit.",
        _parallel_efficiency,
    ),
)

"""Rules about cases on several GPUs: what the further ones brought, by a case on one."""

from collections.abc import Iterator

from wanbench.report.findings.basis import NOTE, Context, Finding, Rule
from wanbench.report.findings.gains import energy_change_pct, speed_ratio, step_gain_pct
from wanbench.report.findings.neighbours import Neighbour, alike_warm

_ADVICE = "What gets no faster is what the GPUs do not share: text encoding, VAE decoding and the export."


def _parallel_efficiency(context: Context) -> Iterator[Finding]:
    for neighbour in context.neighbours:
        if neighbour.setting == "gpus: 1" and alike_warm(context.case, neighbour.row):
            yield from _beside_one(context, neighbour)


def _beside_one(context: Context, one: Neighbour) -> Iterator[Finding]:
    gpus, ratio_of_one = int(context.case["gpus"]), speed_ratio(context.case, one)
    if ratio_of_one is None:
        return
    ratio = 1 / ratio_of_one
    evidence = {"gpus": gpus, "speed_ratio": ratio, "efficiency_pct": 100 * ratio / gpus}
    parts = [f"{evidence['efficiency_pct']:.0f} % parallel efficiency"]
    step_pct, energy_pct = step_gain_pct(context.case, one), energy_change_pct(one.row, context.case)
    if step_pct is not None:
        evidence["step_speed_ratio"] = 1 / (1 + step_pct / 100)
        parts.append(f"steps {evidence['step_speed_ratio']:.2f}x as fast")
    if energy_pct is not None:
        evidence["energy_change_pct"] = energy_pct
        parts.append(f"energy {energy_pct:+.0f} %")
    elsewhere = "" if one.same_gpu else ", on another GPU of this kind"
    text = (
        f"{gpus} GPUs make a video of {context.case['steps']} steps {ratio:.2f}x as fast as one (case "
        f"{one.row['case']}{elsewhere}): {', '.join(parts)}."
    )
    yield Finding("parallel_efficiency", NOTE, evidence, text, _ADVICE)


RULES = (
    Rule(
        "parallel_efficiency",
        "How much of several GPUs became speed: a note. It compares with a case of this report that ran on one GPU of "
        "the same name and differs in nothing else (maybe in its steps): how many times as fast a generation is, "
        "without initialisation and compilation and at this case's number of steps, over the number of GPUs. The rest "
        "went to what each GPU does by itself, and to the exchange between them. Where a video need not be ready "
        "sooner, as many cases on one GPU each make more videos in the same time, if the weights fit.",
        _parallel_efficiency,
    ),
)

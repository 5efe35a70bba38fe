"""Rules about settings, from cases of the same report: what had no effect, and what would be faster."""

from collections.abc import Iterator, Sequence

from wanbench.report.comparisons import is_lossy
from wanbench.report.findings.basis import NOTE, Context, Finding, Rule, known, matches
from wanbench.report.findings.neighbours import Neighbour, alike_warm, gain_text, speed_ratio
from wanbench.report.numbers import fixed, gigabytes

# What each setting is for, where it has another value than the plain one.
_PLAIN = {"compile": "none", "attention": "native", "vae_tiling": "false", "vae_dtype": "float32", "offload": "none"}


def _no_effect(context: Context) -> Iterator[Finding]:
    yield from _unused_cache(context)
    for neighbour in context.neighbours:
        if neighbour.value != _PLAIN.get(neighbour.key):
            continue
        if neighbour.key in ("compile", "attention"):
            yield from _same_step(context, neighbour)
        else:
            yield from _same_peak(context, neighbour)


def _unused_cache(context: Context) -> Iterator[Finding]:
    reused, passes = context.number("passes_reused"), context.number("passes")
    if context.case["cache"] == "none" or reused != 0 or not passes:
        return
    random = " These weights are random: real ones may differ." if context.case["weights"] == "random" else ""
    text = (
        f"`cache: {context.case['cache']}` served in none of {passes:.0f} passes at `cache_threshold: "
        f"{context.case['cache_threshold']:g}`: raise the threshold, or set `cache: none`.{random}"
    )
    yield Finding("no_effect", NOTE, {"passes_reused": reused, "passes": passes}, text, ("cache: none",))


def _same_step(context: Context, neighbour: Neighbour) -> Iterator[Finding]:
    own_s, plain_s = context.number("step_s"), known(neighbour.row["step_s"])
    if not own_s or not plain_s:
        return
    gain_pct = 100 * (plain_s / own_s - 1)
    compiled = neighbour.key == "compile"
    limits = context.thresholds
    # Compilation must pay for itself; another attention may be chosen for being slower in nothing.
    if gain_pct >= limits.no_effect_compile_pct if compiled else abs(gain_pct) >= limits.no_effect_attention_pct:
        return
    text = (
        f"`{neighbour.key}: {context.case[neighbour.key]}` takes {fixed(own_s)} s/step, and case "
        f"{neighbour.row['case']} with `{neighbour.setting}` {fixed(plain_s)}: the setting gives no speed here."
    )
    evidence = {"step_s": own_s, "plain_step_s": plain_s, "gain_pct": gain_pct}
    yield Finding("no_effect", NOTE, evidence, text, (neighbour.setting,))


def _same_peak(context: Context, neighbour: Neighbour) -> Iterator[Finding]:
    own, plain = context.number("gpu_mem_allocated_bytes"), known(neighbour.row["gpu_mem_allocated_bytes"])
    if not own or not plain:
        return
    saved_pct = 100 * (1 - own / plain)
    if saved_pct >= context.thresholds.no_effect_memory_pct:
        return
    value = str(context.case[neighbour.key]).lower()
    text = (
        f"`{neighbour.key}: {value}` peaks at {gigabytes(own)} GB, and case {neighbour.row['case']} with "
        f"`{neighbour.setting}` at {gigabytes(plain)} GB: the setting saves no memory here."
    )
    evidence = {"peak_bytes": own, "plain_peak_bytes": plain, "saved_pct": saved_pct}
    yield Finding("no_effect", NOTE, evidence, text, (neighbour.setting,))


def _faster_elsewhere(context: Context) -> Iterator[Finding]:
    for neighbour in fastest_by_setting(context):
        ratio = speed_ratio(context.case, neighbour)
        if ratio is None or not alike_warm(context.case, neighbour):
            continue
        if 100 * (ratio - 1) < context.thresholds.faster_elsewhere_pct:
            continue
        if any(matches(advice, neighbour.setting) for advice in context.advised):
            continue
        lossy = " (lossy)" if is_lossy(neighbour.row) and not is_lossy(context.case) else ""
        text = (
            f"Case {neighbour.row['case']} differs only in `{neighbour.setting}`{lossy} and is "
            f"{gain_text(context.case, neighbour)}."
        )
        yield Finding("faster_elsewhere", NOTE, {"speed_ratio": ratio}, text, (neighbour.setting,))


def fastest_by_setting(context: Context) -> list[Neighbour]:
    """One neighbour for each setting that differs: the fastest of those that are alike."""
    best: dict[str, tuple[float, Neighbour]] = {}
    for neighbour in context.neighbours:
        ratio = speed_ratio(context.case, neighbour) or 0.0
        if neighbour.setting not in best or ratio > best[neighbour.setting][0]:
            best[neighbour.setting] = (ratio, neighbour)
    return [neighbour for _, neighbour in best.values()]


def measured_here(context: Context, advised: Sequence[str]) -> str:
    """What other cases show of settings that are advised, as a sentence; empty where none was measured."""
    shown = [
        f"`{neighbour.setting}` (case {neighbour.row['case']}): {gain_text(context.case, neighbour)}"
        for neighbour in fastest_by_setting(context)
        if any(matches(advice, neighbour.setting) for advice in advised)
    ]
    return f" Measured here: {'; '.join(shown)}." if shown else ""


RULES = (
    Rule(
        "no_effect",
        "A setting costs something (time to compile, time to move weights, a changed video) and did not give what it "
        "is for. It is judged by cases of this report that differ from this one in that setting alone: the same model, "
        "task, size, frames, guidance, weights and GPU; the number of steps may differ. Compiling must make the median "
        "step faster by `no_effect_compile_pct`, another attention change it by `no_effect_attention_pct`, tiling, the "
        "VAE's data type and offloading lower peak memory by `no_effect_memory_pct`, and a cache serve at least once. "
        "Runs of equal settings differ by less. Leave the setting out.",
        _no_effect,
    ),
    Rule(
        "faster_elsewhere",
        "Another case of this report makes the same video faster, differs in one setting alone, and no finding above "
        "says so. Times are of one generation without initialisation and compilation, brought to this case's number of "
        "steps by the median step; cold generations are compared with cold ones and warm with warm. Cases whose check "
        "was not passed are left out, and caches with random weights. It speaks from `faster_elsewhere_pct` on, above "
        "what equal runs differ by. Look at the memory, and at the video where the setting is lossy.",
        _faster_elsewhere,
    ),
)

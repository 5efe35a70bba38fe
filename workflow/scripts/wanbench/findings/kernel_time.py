"""Rules on kernel profiles: which kernels take longer than they need. A case without a profile has none."""

from collections.abc import Iterator

from wanbench.analysis.tables import TableRow
from wanbench.findings.basis import BOTTLENECK, NOTE, Context, Found
from wanbench.registry.stages import VAE_DECODING


def _profiled(context: Context, stage: str, kernels: str) -> TableRow | None:
    return next((row for row in context.kernels if (row["stage"], row["class"]) == (stage, kernels)), None)


def _large_part(context: Context, stage: str, kernels: str, least_pct: float) -> dict[str, float] | None:
    """Time and share of a class of kernels in a profiled stage; None where it has less of it."""
    row = _profiled(context, stage, kernels)
    return {key: row[key] for key in ("time_s", "share_pct")} if row and row["share_pct"] >= least_pct else None


def slow_attention(context: Context) -> Iterator[Found]:
    """Below what another profiled case of the same size reached on a GPU of the kind."""
    row = _profiled(context, "Step", "attention")
    if row is None or row["best_flops_per_s"] is None or row["best_case"] == context.case["case"]:
        return
    saved_s = row["time_s"] * (1 - row["flops_per_s"] / row["best_flops_per_s"])
    saved_pct = 100 * saved_s / row["profiled_s"]
    if saved_pct >= context.thresholds.slow_attention_pct:
        evidence = {"flops_per_s": row["flops_per_s"], "best_flops_per_s": row["best_flops_per_s"]}
        evidence |= {"saved_s": saved_s, "saved_pct": saved_pct}
        said = {"other": row["best_case"], "attention": row["best_attention"]}
        yield Found(BOTTLENECK, evidence, [[f"attention: {row['best_attention']}"]], said)


def equal_rows(context: Context) -> Iterator[Found]:
    """Of text-to-video, TI2V-5B embeds the same timestep for each token, in float32."""
    evidence = _large_part(context, "Step", "matmul_float32", context.thresholds.equal_rows_pct)
    if evidence and context.case["timesteps"] == "per_token":
        yield Found(NOTE, evidence, [["timesteps: uniform"]])


def copies(context: Context) -> Iterator[Found]:
    if evidence := _large_part(context, VAE_DECODING, "copy", context.thresholds.copies_pct):
        can_change = context.case["vae_memory_format"] == "contiguous"
        yield Found(NOTE, evidence, [["vae_memory_format: channels_last"]] if can_change else ())


RULES = (slow_attention, equal_rows, copies)

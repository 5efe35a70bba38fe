"""The figures that `predict` is fitted on and held against: kept cases, and published ones of one GPU.

Published figures are those of one GPU that `predict` knows, bfloat16 and dense attention, in the report's
published_figures.csv. Its columns kind, attention and offload are how the software works. Kernels are as the source has
them, else the one that the software picks by itself: FlashAttention 2 in diffusers before cuDNN's was picked, 3 in
Wan's own code on Hopper (a note of its README) and in SGLang, vLLM-Omni and LightX2V.
"""

import csv
import gzip
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "workflow/scripts"))

from wanbench.cases.case import Case  # noqa: E402
from wanbench.cases.resolve import resolve_cases  # noqa: E402
from wanbench.estimate import stage_times as p  # noqa: E402
from wanbench.estimate.expected import kept_cases  # noqa: E402
from wanbench.estimate.gpu_facts import known_gpus  # noqa: E402
from wanbench.estimate.prediction import moved_bytes  # noqa: E402

PUBLISHED = ROOT / "workflow/scripts/wanbench/report/published_figures.csv"
GPU_NAMES = {"H100/H800": "H100 SXM", "H100": "H100 SXM", "H800": "H100 SXM", "A100/A800": "A100 80GB"}
GPU_NAMES |= {"NVIDIA H200": "H200", "NVIDIA H100 80GB HBM3": "H100 SXM"}


@dataclass(frozen=True)
class Figure:
    """Seconds of a step, of a part of it, of decoding or of a whole generation, and what they are of."""

    gpu: p.GpuFacts
    what: str
    seconds: float
    case: Case
    work: p.Work
    way: p.Way
    software: str
    source: str | None = None

    def predicted_s(self, numbers: Mapping[str, float]) -> float:
        times_s = p.stage_times_s(self.work, self.way, self.gpu, numbers)
        whole_s = self.case.steps * times_s["step"] + times_s["decoding"] + times_s["encoding"]
        return times_s.get(self.what, whole_s)


def published() -> list[Figure]:
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        return [_published(row) for row in csv.DictReader(file) if _is_like_ours(row)]


def _is_like_ours(row: dict[str, str]) -> bool:
    known = GPU_NAMES.get(row["gpu"], row["gpu"]) in known_gpus()
    # diffusers has no offload by layers.
    return known and row["gpus"] == "1" and row["lossy"] != "yes" and row["offload"] != "layerwise"


def _published(row: dict[str, str]) -> Figure:
    gpu = known_gpus()[GPU_NAMES.get(row["gpu"], row["gpu"])]
    # The denoiser of Wan2.1's 14B has the shape of one of A14B's.
    model = row["model"] if "Wan2.1" not in row["model"] else f"{row['task']}-A14B"
    size = "1280*704" if model == "TI2V-5B" else row["size"]
    settings = {"model": model, "task": row["task"].lower(), "size": size, "frames": int(row["frames"])}
    case = _case(settings | {"steps": int(row["steps"] or 40), "offload": row["offload"]})
    way = p.Way(row["kind"], row["attention"], model == "TI2V-5B")
    what, seconds = "total", row["total_s"]
    if row["denoise_s"]:
        what, seconds = "step", float(row["denoise_s"]) / case.steps
    elif row["s_per_step"] and "total over steps" not in row["note"]:
        what, seconds = "step", row["s_per_step"]
    return Figure(gpu, what, float(seconds), case, p.work_of(case, way.per_token), way, row["software"], row["source"])


def kept() -> list[Figure]:
    """Steps, their kernel classes and decodings of the project's own cases on one GPU."""
    figures = []
    for row in kept_cases(ROOT / "results/reference"):
        plain = row["cache"] == row["quantization"] == row["layerwise_casting"] == "none" and row["gpus"] == "1"
        if not plain or row["dtype"] != "bfloat16" or row["offload"] not in ("none", "model"):
            continue
        case, gpu = _kept_case(row), known_gpus()[GPU_NAMES[row["gpu_name"]]]
        way = p.way_of(case, gpu)
        step = Figure(gpu, "step", float(row["step_s"]), case, p.work_of(case, way.per_token), way, row["case"])
        figures += [step, *_kernels(step)]
        if row["vae_computing_s"] and row["vae_tiling"] != "True":
            figures.append(replace(step, what="decoding", seconds=float(row["vae_computing_s"])))
    return figures


def _kernels(step: Figure) -> list[Figure]:
    """Kernel classes of a step, where the case was profiled."""
    files = list(ROOT.glob(f"results/reference/*/kernels/{step.software}.json.gz"))
    figures = []
    for file in files:
        profile = json.loads(gzip.decompress(file.read_bytes()))
        if GPU_NAMES.get(profile["environment"]["gpu"]["name"]) == step.gpu.name:
            rows = profile["stages"]["Step"]["classes"]
            seconds = {row["class"]: row["time_s"] for row in rows}
            seconds["elementwise"] += seconds["copy"]
            figures += [replace(step, what=key, seconds=seconds[key]) for key in ("attention", "matmul", "elementwise")]
    return figures


def transfer_gb_s() -> dict[str, float]:
    """1e9 bytes a second between host and GPU, by the way of offload: the median of the kept cases."""
    rates = {}
    for row in kept_cases(ROOT / "results/reference"):
        if row["gpus"] == "1" and row["offload"] != "none" and row["weight_transfer_s"]:
            case = _kept_case(row)
            step, vae, text = moved_bytes(case)
            bytes_ = int(row["steps"]) * step + vae + text
            rates.setdefault(row["offload"], []).append(bytes_ / float(row["weight_transfer_s"]) / 1e9)
    return {offload: float(f"{median(values):.2g}") for offload, values in rates.items()}


def _kept_case(row: dict[str, str]) -> Case:
    texts = ("model", "task", "size", "offload", "attention", "compile", "timesteps", "vae_dtype")
    texts += ("layerwise_casting",)
    settings = {key: row[key] for key in texts if row[key]}
    numbers = {key: int(row[key]) for key in ("frames", "steps")}
    return _case(settings | numbers | {"unofficial_size": True}, row["case"])


def _case(settings: dict, name: str = "published") -> Case:
    if settings["task"] == "i2v":
        settings = settings | {"image": str(ROOT / "config/first_frame.png")}
    return resolve_cases({"cases": {name: settings}}, "figures")[0]

"""The head of the report: on what, with what, when, and what is missing."""

from collections.abc import Callable

import pandas as pd

from wanbench.analysis.case_rows import CaseRow, case_rows
from wanbench.analysis.gpu_letters import gpu_letters, gpus_named
from wanbench.analysis.mfu import MEASURED, peak_flops_per_s
from wanbench.analysis.numbers import NOT_MEASURED, plain, some
from wanbench.findings.case_counts import Findings, case_counts
from wanbench.report import provenance


def header(cases: pd.DataFrame, excluded: pd.DataFrame, findings: Findings) -> str:
    """Bullet lines about all cases together; where cases differ, every variant is named with its count."""
    lines = {
        "Measured": _dates(cases),
        "GPU": _variants(cases, provenance.gpu),
        "Peak for MFU": _variants(cases, _peak),
        "Matrix products": _matrix_rate(cases),
        "CPU and memory": _variants(cases, provenance.host),
        "Software": _variants(cases, provenance.software),
        "Measuring code": _codes(cases),
        "Weights": _variants(cases, provenance.weights),
        "Cases": case_counts(cases, findings, plain),
    }
    if len(excluded):
        lines["Cases"] += f"; {len(excluded)} excluded, see below: {some(list(map(plain, excluded['case'])))}"
    text = [f"- **{label}**: {value}" for label, value in lines.items()]
    return "\n".join(text + [f"- **Note**: {note}" for note in _notes(cases)])


def _dates(cases: pd.DataFrame) -> str:
    begun = pd.to_datetime(cases["started_at"], format="ISO8601", utc=True)
    ended = begun + pd.to_timedelta(cases["total_duration_s"].astype(float), unit="s")
    if begun.isna().all():
        return "nothing"
    first, last = (f"{time:%Y-%m-%d %H:%M}" for time in (begun.min(), ended.max()))
    return f"{first} UTC" if first == last else f"{first} to {last} UTC"


def _variants(cases: pd.DataFrame, describe: Callable[[CaseRow], str]) -> str:
    counts = pd.Series([describe(case) for case in case_rows(cases)], dtype="string").value_counts()
    if len(counts) == 1:
        return plain(counts.index[0])
    return "; ".join(f"{plain(text)} (cases: {count})" for text, count in counts.items()) or "unknown"


def _peak(case: CaseRow) -> str:
    name, measured = (case[key] if pd.notna(case[key]) else None for key in ("gpu_name", "matmul_flops_per_s"))
    peak = peak_flops_per_s(name, measured)
    if peak is None:
        return NOT_MEASURED
    if peak[1] == MEASURED:
        return "the rate of matrix products that each case measured, for want of a datasheet's"
    return f"{peak[0] / 1e12:.1f} TFLOP/s, dense bfloat16 ({peak[1]})"


def _codes(cases: pd.DataFrame) -> str:
    text = _variants(cases, provenance.code)
    same = cases["git_commit"].nunique() > 1 and cases["measure_digest"].nunique() == 1
    return f"{text}; the measuring code of these is the same" if same else text


def _matrix_rate(cases: pd.DataFrame) -> str:
    """Rates of bfloat16 matrix products by what measured which GPU, since neither need agree with another."""
    known = cases.dropna(subset=["matmul_flops_per_s", "gpu_uuid"])
    if known.empty:
        return "not measured"
    letters, unlike, rates = gpu_letters(cases), known["measure_digest"].nunique() > 1, []
    for (uuid, _), of_gpu in known.groupby(["gpu_uuid", "measure_digest"], sort=False):
        found = of_gpu["matmul_flops_per_s"] / 1e12
        notes = [" and ".join(sorted({provenance.code(case) for case in case_rows(of_gpu)}))] if unlike else []
        if len(found) > 1:
            notes.append(f"median of {len(found)} cases, {found.min():.0f} to {found.max():.0f}")
        where = f" on GPU {letters[uuid]}" if letters else ""
        in_brackets = f" ({plain(', '.join(notes))})" if notes else ""
        rates.append(f"{found.median():.0f} TFLOP/s{where}{in_brackets}")
    warning = ". Different measuring code made these: do not compare them" if unlike else ""
    return f"{'; '.join(rates)}, in bfloat16 for a moment at the end of each case, GPU warm{warning}"


def _notes(cases: pd.DataFrame) -> list[str]:
    random, letters = cases["weights"] == "random", gpu_letters(cases)
    alike = len(letters) > cases["gpu_name"].dropna().nunique()
    which = "The first GPUs of the cases are" if (cases["gpus"] > 1).any() else "The cases ran on"
    notes = {
        "`n/a` is what was not measured; 0 is measured, and zero. GB = 1e9 bytes.": True,
        "With random weights the picture means nothing, nor does the time of Model\\_Initialization but for its part "
        "Placement.": random.any(),
        "With a lossy cache and random weights the time of a step means nothing: how often the cache serves depends "
        "on the weights. Such cases are not among settings to use, nor beside published figures.": (
            random & (cases["cache"] != "none")
        ).any(),
        "Cases at tiny scale show that everything works; their times mean nothing for the real models.": (
            cases["scale"] == "tiny"
        ).any(),
        "Cases on the CPU have n/a in GPU columns. With offload model and group nothing moves there; Loading with "
        "sequential is its bookkeeping.": (cases["device"] == "cpu").any(),
        "This GPU has no GPM: SM columns hold NVML's GPU utilisation, the share of time in which any kernel ran.": (
            cases["sm_activity_source"] == "nvml_gpu_utilisation"
        ).any(),
        _rough_gpm(cases): bool(_rough_gpm(cases)),
        f"{which} {len(letters)} GPUs, each named in its case: {gpus_named(letters)}."
        f"{' GPUs of one name differ by some percent, and so may cases.' if alike else ''}": bool(letters),
        "A size marked as unofficial is one that Wan2.2 does not list for the model.": (
            cases["unofficial_size"].fillna(False).any()
        ),
    }
    errors = cases["gpu_telemetry_error"].dropna().unique()
    unread = [f"GPU telemetry could not be read: {plain(error)}." for error in errors]
    return [note for note, holds in notes.items() if holds] + unread


def _rough_gpm(cases: pd.DataFrame) -> str:
    by_gpm = cases["sm_activity_source"] == "gpm_sm_utilisation"
    rough, total = int((by_gpm & ~cases["gpm_counter_refresh_found"].fillna(False)).sum()), int(by_gpm.sum())
    if not rough:
        return ""
    which = "all cases" if rough == total == len(cases) else f"{rough} of {total} cases with GPM"
    return (
        f"The counter refresh of GPM is not known in {which}: SM, tensor and DRAM activity may stand up to 0.1 s early "
        "or late, and is rough in stages of a second or less."
    )

"""The head of the report: on what, with what, when, and what is missing."""

from collections.abc import Callable

import pandas as pd

from wanbench.analysis.case_rows import CaseRow, case_rows
from wanbench.analysis.gpu_letters import gpu_letters, gpus_named
from wanbench.analysis.mfu import MEASURED, peak_flops_per_s
from wanbench.analysis.numbers import plain, some
from wanbench.findings.case_counts import Findings, case_counts
from wanbench.report import provenance


def header(cases: pd.DataFrame, excluded: pd.DataFrame, findings: Findings) -> str:
    """Bullet lines about all cases together; where cases differ, every variant is named with its count."""
    lines = [
        ("Measured", _dates(cases)),
        ("GPU", _variants(cases, provenance.gpu)),
        ("Peak for MFU", _variants(cases, _peak)),
        ("Matrix products", _matrix_rate(cases)),
        ("CPU and memory", _variants(cases, provenance.host)),
        ("Software", _variants(cases, provenance.software)),
        ("Measuring code", _codes(cases)),
        ("Weights", _variants(cases, provenance.weights)),
        ("Cases", _counts(cases, excluded, findings)),
    ]
    text = [f"- **{label}**: {value}" for label, value in lines]
    text += [f"- **Note**: {note}" for note in _notes(cases)]
    return "\n".join(text)


def _dates(cases: pd.DataFrame) -> str:
    begun = pd.to_datetime(cases["started_at"], format="ISO8601", utc=True)
    ended = begun + pd.to_timedelta(cases["total_duration_s"].astype(float), unit="s")
    if begun.isna().all():
        return "nothing"
    first, last = (f"{time:%Y-%m-%d %H:%M}" for time in (begun.min(), ended.max()))
    return f"{first} UTC" if first == last else f"{first} to {last} UTC"


def _variants(cases: pd.DataFrame, describe: Callable[[CaseRow], str]) -> str:
    described = pd.Series([describe(case) for case in case_rows(cases)], dtype="string")
    counts = described.value_counts(sort=True)
    if len(counts) == 1:
        return plain(counts.index[0])
    return "; ".join(f"{plain(text)} (cases: {count})" for text, count in counts.items()) or "unknown"


def _peak(case: CaseRow) -> str:
    name, measured = (case[key] if pd.notna(case[key]) else None for key in ("gpu_name", "matmul_flops_per_s"))
    peak = peak_flops_per_s(name, measured)
    if peak is None:
        return "n/a"
    if peak[1] == MEASURED:
        return "of each case the rate of matrix products that it measured, since no datasheet's is known here"
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
    letters, unlike = gpu_letters(cases), known["measure_digest"].nunique() > 1
    rates = [
        _rate(of_gpu, letters.get(uuid), [_commits(of_gpu)] if unlike else [])
        for (uuid, _), of_gpu in known.groupby(["gpu_uuid", "measure_digest"], sort=False)
    ]
    what = "what bfloat16 products reached here for a moment at the end of each case, GPU warm"
    warning = ". Different versions of the measuring code made these: do not compare them" if unlike else ""
    return f"{'; '.join(rates)}: {what}{warning}"


def _rate(cases: pd.DataFrame, letter: str | None, notes: list[str]) -> str:
    rates = cases["matmul_flops_per_s"] / 1e12
    if len(rates) > 1:
        notes = [*notes, f"median of {len(rates)} cases, {rates.min():.0f} to {rates.max():.0f}"]
    where = "" if letter is None else f" on GPU {letter}"
    in_brackets = f" ({', '.join(notes)})" if notes else ""
    return f"{rates.median():.0f} TFLOP/s{where}{in_brackets}"


def _commits(cases: pd.DataFrame) -> str:
    return " and ".join(sorted({plain(provenance.code(case)) for case in case_rows(cases)}))


def _counts(cases: pd.DataFrame, excluded: pd.DataFrame, findings: Findings) -> str:
    text = case_counts(cases, findings, plain)
    if not len(excluded):
        return text
    return (
        f"{text}; {len(excluded)} excluded, for the reasons below: {some([plain(name) for name in excluded['case']])}"
    )


def _notes(cases: pd.DataFrame) -> list[str]:
    notes = ["`n/a` is what was not measured; 0 is measured, and zero. GB = 1e9 bytes."]
    if (cases["weights"] == "random").any():
        notes.append(
            "With random weights, the picture means nothing, nor does the time of Model\\_Initialization but for its "
            "part Placement."
        )
    if ((cases["weights"] == "random") & (cases["cache"] != "none")).any():
        notes.append(
            "With a lossy cache and random weights, how often the cache serves, and so the time of a step, says "
            "nothing about real weights: such cases stand neither among settings to use nor beside published figures."
        )
    if (cases["scale"] == "tiny").any():
        notes.append("Cases at tiny scale show that everything works; their times say nothing about the real models.")
    if (cases["device"] == "cpu").any():
        notes.append(
            "Cases on the CPU have n/a in GPU columns. There is no second device for weights: with offload model and "
            "group nothing moves, and Loading with sequential is its bookkeeping."
        )
    if (cases["sm_activity_source"] == "nvml_gpu_utilisation").any():
        notes.append(
            "This GPU has no GPM: SM columns hold NVML's GPU utilisation, the share of time in which any kernel ran."
        )
    notes += _rough_gpm(cases)
    if letters := gpu_letters(cases):
        alike = len(letters) > cases["gpu_name"].dropna().nunique()
        differ = " GPUs of one name differ by some percent, and so may cases." if alike else ""
        which = "The first GPUs of the cases are" if (cases["gpus"] > 1).any() else "The cases ran on"
        notes.append(f"{which} {len(letters)} GPUs, each named in its case: {gpus_named(letters)}.{differ}")
    for error in cases["gpu_telemetry_error"].dropna().unique():
        notes.append(f"GPU telemetry could not be read: {plain(error)}.")
    if cases["unofficial_size"].fillna(False).any():
        notes.append("A size marked as unofficial is one that Wan2.2 does not list for the model.")
    return notes


def _rough_gpm(cases: pd.DataFrame) -> list[str]:
    by_gpm = cases["sm_activity_source"] == "gpm_sm_utilisation"
    rough = int((by_gpm & ~cases["gpm_counter_refresh_found"].fillna(False)).sum())
    if not rough:
        return []
    total = int(by_gpm.sum())
    which = "all cases" if rough == total == len(cases) else f"{rough} cases with GPM of {total}"
    return [
        f"Of {which} it is not known when GPM's counters were latched, and its values may be placed up to 0.1 s too "
        "early or too late: SM, tensor and DRAM activity of stages of a second or less is rough."
    ]

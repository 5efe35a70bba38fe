"""The search: what to try next, what is out and why, and the best so far.

It needs no memory but the traces: killed and started again, it comes to the same trials, and goes on.

Settings that act on different stages are searched apart: where weights lie; then one setting of the steps after the
other, on top of the best so far and judged by the time of a step; then those of decoding, judged by its time. Exact
ones and those that change rounding come first, others only where a loss is allowed.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import cache
from itertools import takewhile
from math import inf
from typing import Any

from wanbench.cases.case import Case
from wanbench.cases.resolve import resolve_cases
from wanbench.cases.scale import as_sized
from wanbench.estimate.memory import estimated_peak_bytes
from wanbench.registry.settings import METHOD, ROWS, SETTINGS
from wanbench.registry.stages import OK, OOM
from wanbench.tuning.goal import Goal
from wanbench.tuning.trials import BEST, NOT_TRIED, OUT, REFERENCE, SKIPPED, WORSE, Answer, Trial, name_of, surely_less
from wanbench.util.errors import InputError

# From the fastest to the one that needs least. On an H200 `sequential` was faster than `group`, and needed less.
_OFFLOADS = ("none", "model", "group_stream", "sequential")
# What makes a placement possible for which memory is short; the second ones change the video, the first of them least.
_EXACT_SAVERS: tuple[dict[str, Any], ...] = ({}, {"timesteps": "uniform"}, {"vae_memory_format": "channels_last"})
_LOSSY_SAVERS: tuple[dict[str, Any], ...] = (
    {"vae_dtype": "bfloat16"},
    {"vae_tiling": True},
    {"layerwise_casting": "float8_e4m3fn", "compile": "none"},
    {"vae_tiling": True, "layerwise_casting": "float8_e4m3fn", "compile": "none"},
)
_CONFIRMED_STEPS = 5
_TRANSIENT = {"sampling_gaps", "unaccounted_time", "step_time_changed", "other_process", "slowed_down"}


class Search:
    """A search, which `run` carries out.

    Attributes:
        measure: gives a trial's answer, or None where no time is left; True tells it that time was kept for the trial.
        trials: all that was tried or skipped, in their order.
        stock, exact, lossy: trials with their answers, or None; `lossy` where it is faster than the exact one.
        confirmed: the winner once more, with more steps; its verdict is OUT where it failed or passed a limit.
    """

    def __init__(self, goal: Goal, measure: Callable[[Trial, bool], Answer | None]) -> None:
        self.goal, self.measure = goal, measure
        self.trials: list[Trial] = []
        self.stock = self.exact = self.lossy = self.confirmed = None

    @property
    def best(self) -> Trial | None:
        """Of trials that were better than all before them, the last: one that was dropped may be faster by chance."""
        found = [trial for trial in self.trials if trial.verdict == BEST]
        # A lossy one is better than those that it is built upon, and maybe not than the exact ones.
        last = {trial.is_lossy: trial for trial in found}
        return min(last.values(), key=lambda trial: trial.answer.video_s, default=None)

    def run(self) -> None:
        capped = "gpu_memory_gb" in self.goal.fixed
        # Without a limit, so that it is what other trials' videos are compared with, whatever the limit.
        uncapped = {key: value for key, value in self.goal.trial.items() if key != "gpu_memory_gb"}
        self.stock = self._trial({}, "stock", uncapped)
        if not self._ask(self.stock):
            return
        if capped and self.stock.answer.status in (OK, OOM):
            self._close(self.stock, REFERENCE, "what others are compared with, without the limit of memory")
            self.exact = self._place({}, _OFFLOADS, _EXACT_SAVERS)
        elif self._within(self.stock):
            self.exact = self._close(self.stock, BEST, "what others are compared with")
        elif self.stock.answer.status in (OK, OOM):
            self.exact = self._place({}, _OFFLOADS[1:], _EXACT_SAVERS)
        else:
            return
        if self.exact:
            self.exact = self._final(self._improve(self.exact, "steps", lossy=False))
            self.exact = self._improve(self.exact, "decoding", lossy=False)
        if self.goal.allows_loss and self._can_measure_loss():
            self._with_loss()
        if winner := self.lossy or self.exact:
            self._confirm(winner)

    def _place(self, changed: dict[str, Any], offloads: Iterable[str], savers: Iterable[dict]) -> Trial | None:
        """The first placement that fits."""
        if "offload" in self.goal.fixed:
            offloads = (self.goal.fixed["offload"],)
        decoding_too_much = inf
        for offload in offloads:
            too_much = decoding_too_much
            for saver in savers:
                if saver.keys() & self.goal.fixed.keys():
                    continue
                trial = self._trial(changed | {"offload": offload} | saver)
                if (needed := _estimate(trial)) >= too_much:
                    self._close(trial, SKIPPED, "needs as much GPU memory as a trial that ran out of it")
                elif self._ask(trial) and self._within(trial):
                    return self._close(trial, BEST, "the first placement that fits")
                elif trial.answer and trial.answer.status == OOM and needed:
                    too_much = needed
                    # After the steps it decodes, wherever the denoiser's weights lie then.
                    decoding_too_much = too_much if trial.answer.step_s else decoding_too_much
        return None

    def _improve(self, best: Trial, stage: str, lossy: bool) -> Trial:
        # Tiling and casting make nothing faster.
        given = (*self.goal.fixed, "vae_tiling", "layerwise_casting")
        for row in (row for row in ROWS if (row.role, row.acts_on) == (METHOD, stage) and row.key not in given):
            for value in row.allowed.get("enum", ()):
                if value != row.neutral and row.is_lossy(value) == lossy:
                    best = self._better(best, {row.key: value}, stage)
        return best

    def _better(self, best: Trial, change: dict[str, Any], stage: str) -> Trial:
        trial = self._trial(best.changed | change)
        if trial.name == best.name or not self._ask(trial) or not self._within(trial):
            return best
        (old_s, _), (new_s, _) = (each.answer.judged_s(stage) for each in (best, trial))
        said = f"{new_s:.4g} s {'a step' if stage == 'steps' else 'of decoding'}, beside {old_s:.4g}"
        if surely_less(trial.answer, best.answer, stage):
            return self._close(trial, BEST, said)
        self._close(trial, WORSE, said)
        return best

    def _final(self, best: Trial) -> Trial:
        """The two best of the steps alternate, A B B A, if neither is surely faster: a warm GPU favours neither."""
        rest = [trial for trial in self.trials if trial.verdict in (BEST, WORSE) and trial is not best]
        second = min(rest, key=lambda trial: trial.answer.step_s, default=None)
        if second is None or surely_less(best.answer, second.answer, "steps"):
            return best
        times: dict[str, list[float]] = {best.name: [], second.name: []}
        for trial, number in ((best, 1), (second, 1), (second, 2), (best, 2)):
            again = self._trial(trial.changed, f"{trial.name}_final_{number}")
            if not self._ask(again) or not self._within(again):
                return best
            self._close(again, REFERENCE, f"finalist: {again.answer.step_s:.4g} s a step")
            times[trial.name].append(again.answer.step_s)
        winner, loser = sorted((best, second), key=lambda trial: sum(times[trial.name]))
        winner.verdict, loser.verdict = BEST, WORSE
        loser.reason += "; slower of the two finalists"
        return winner

    def _can_measure_loss(self) -> bool:
        """Whether a trial with stock's video ran to its end; where stock does not fit, one is run for that alone."""
        tried = {trial.name for trial in self.trials}
        for trial in (self._trial({"offload": offload}) for offload in _OFFLOADS[1:]):
            if any(each.has_stock_video for each in self.trials):
                return True
            if trial.name not in tried and self._ask(trial) and self._within(trial):
                self._close(trial, REFERENCE, "what losses are measured against")
        return any(each.has_stock_video for each in self.trials)

    def _with_loss(self) -> None:
        """From the best exact one, or from a faster placement that a loss makes possible."""
        changed = self.exact.changed if self.exact else {}
        offload = changed.get("offload", "none") if self.exact else None
        faster = tuple(takewhile(lambda each: each != offload, _OFFLOADS))
        placed = self._place(changed, faster, _LOSSY_SAVERS) if faster else None
        starts = [trial for trial in (placed, self.exact) if trial]
        self.lossy = min(starts, key=lambda trial: trial.answer.video_s, default=None)
        # What changes nothing of the video is in the best exact one already, if there is one.
        for lossy in (True,) if self.exact else (False, True):
            for stage in ("steps", "decoding"):
                self.lossy = self.lossy and self._improve(self.lossy, stage, lossy)
        if self.exact and self.lossy.answer.video_s >= self.exact.answer.video_s:
            self.lossy = None

    def _confirm(self, winner: Trial) -> None:
        settings = {"steps": _CONFIRMED_STEPS} | self.goal.fixed
        trial = self._trial(winner.changed, f"{winner.name}_confirmed", settings)
        if self._ask(trial, time_is_kept=True) and self._within(trial):
            self._close(trial, REFERENCE, f"the winner with {settings['steps']} steps")
        self.confirmed = self.trials[-1]

    def _trial(self, changed: dict[str, Any], name: str = "", settings: Mapping[str, Any] | None = None) -> Trial:
        settings = self.goal.trial if settings is None else settings
        changed = {key: value for key, value in changed.items() if value != SETTINGS[key].neutral}
        is_stock = not changed and "gpu_memory_gb" not in self.goal.fixed
        return Trial(name or ("stock" if is_stock else name_of(changed)), {**settings, **changed}, changed=changed)

    def _close(self, trial: Trial, verdict: str, reason: str) -> Trial:
        """Say what became of a trial."""
        failed = trial.answer.failed_checks if trial.answer else ""
        trial.verdict, trial.reason = verdict, f"{reason} (failed checks: {failed})" if failed else reason
        self.trials.append(trial)
        return trial

    def _ask(self, trial: Trial, time_is_kept: bool = False) -> bool:
        """Whether the trial has an answer; one that was disturbed is run again."""
        if reason := self._refusal(trial):
            self._close(trial, SKIPPED, reason)
            return False
        for name in (trial.name, f"{trial.name}_again"):
            trial.answer = self.measure(replace(trial, name=name), time_is_kept) or trial.answer
            if not trial.answer or trial.answer.status != OK or not _TRANSIENT & {*trial.answer.failed_checks.split()}:
                break
        if trial.answer is None:
            self._close(trial, NOT_TRIED, "no time was left")
        return trial.answer is not None

    def _refusal(self, trial: Trial) -> str | None:
        """Why not to run it: by the rules of this search, the checks of cases, or the estimate of memory."""
        stock = self.stock and self.stock.answer
        if reason := trial.reason_against(stock):
            return reason
        case = _resolved(json.dumps(trial.settings))
        if isinstance(case, str):
            return case
        limits = (self.goal.fixed.get("gpu_memory_gb", 0) * 1e9, stock and stock.gpu_total_bytes)
        # Of stock it is known, with more steps too.
        is_stock = trial.settings | {"steps": 0} == self.stock.settings | {"steps": 0}
        if not is_stock and _estimate(trial) > min(filter(None, limits), default=inf):
            return f"needs about {_estimate(trial) / 1e9:.1f} GB of GPU memory"
        return None

    def _within(self, trial: Trial) -> bool:
        """Whether an answer counts; else it is closed with the reason."""
        answer = trial.answer
        if answer.status != OK:
            problems = ["out of GPU memory" if answer.status == OOM else f"{answer.status}: {answer.message}"]
        elif "output_not_finite" in answer.failed_checks:
            problems = ["its video has values that are no finite numbers"]
        elif None in (answer.video_s, answer.step_s, answer.decoding_s):
            problems = ["its times are not known"]
        else:
            problems = [*self._passed_limits(trial)]
        if problems:
            self._close(trial, OUT, "; ".join(problems))
        return not problems

    def _passed_limits(self, trial: Trial) -> Iterator[str]:
        goal, answer = self.goal, trial.answer
        for what, value, most, unit in (
            ("GPU memory used (GB)", answer.gpu_used_bytes, goal.fixed.get("gpu_memory_gb"), 1e9),
            ("host memory (GB)", answer.host_bytes, goal.host_memory_gb, 1e9),
            ("time to the first video (s)", answer.first_video_s, goal.max_first_video_s, 1),
        ):
            if value is not None and most is not None and value / unit > most:
                yield f"{what}: {value / unit:.4g}; allowed: {most:g}"
        # Other steps make another video than stock's.
        if not trial.is_lossy or trial.settings["steps"] != goal.trial["steps"]:
            return
        most, least, error, psnr_db = goal.max_latent_error, goal.min_psnr, answer.latent_error, answer.psnr_db
        if (most is not None and error is None) or (least is not None and psnr_db is None):
            yield "how much it changes the video is not known"
        if most is not None and error is not None and error > most:
            yield f"error of the latents: {error:.2g}; allowed: {most:g}"
        if least is not None and psnr_db is not None and psnr_db < least:
            yield f"PSNR (dB): {psnr_db:.4g}; allowed: from {least:g}"


# A search is played often, and a checkpoint takes time to look into.
@cache
def _resolved(settings: str) -> Case | str:
    """The case of settings as JSON, or why it is not allowed."""
    try:
        return resolve_cases({"cases": {"tune": json.loads(settings)}}, "")[0]
    except InputError as error:
        return str(error).partition("': ")[2]


def _estimate(trial: Trial) -> int:
    """GPU memory that it will need, in bytes; 0 for what has no estimate."""
    case = _resolved(json.dumps(trial.settings))
    return 0 if isinstance(case, str) else estimated_peak_bytes(as_sized(case)) or 0

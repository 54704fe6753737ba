"""Which of several processes runs which trial of a sweep, and what becomes of those that were killed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from typing import Any

import filelock
import optuna
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState
from pytorch_lightning import Callback, LightningModule, Trainer
from typing_extensions import override

from resmem_plugin.training.module import VALIDATION_SPEARMAN
from resmem_plugin.training.space import suggest

ATTEMPTS = 3
"""So often is a trial begun that fails or whose process is killed."""

_WAIT_S = 1.0
_ATTEMPT = "attempt"


class Trials:
    """The trials of a sweep, in a folder that several processes share.

    Each running trial holds a lock, which the system releases if its process is killed: another then begins it again.

    Args:
        folder: of the sweep.
        space: what is searched.
        total: how many trials there shall be.
        seed: of the sampler.
        prune: stop trials that are worse than the median.
    """

    def __init__(self, folder: str, space: Mapping[str, Any], total: int, *, seed: int, prune: bool) -> None:
        self.folder, self.space, self.total, self.seed = folder, space, total, seed
        os.makedirs(os.path.join(folder, "locks"), exist_ok=True)
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        self.study = optuna.create_study(
            study_name="resmem",
            storage=JournalStorage(JournalFileBackend(os.path.join(folder, "study.journal"))),
            direction="maximize",
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_warmup_steps=2) if prune else optuna.pruners.NopPruner(),
        )
        self._claiming = filelock.FileLock(os.path.join(folder, "locks", "study.lock"))
        self._held: filelock.BaseFileLock | None = None

    def claim(self) -> tuple[optuna.Trial, dict[str, Any]] | None:
        """The next trial, with the options that it tries; None when all are done. Waits for other processes."""
        while True:
            with self._claiming:
                self._repeat_killed()
                if self.done >= self.total:
                    return None
                if self.done + len(self._of(TrialState.RUNNING)) < self.total:
                    self.study.sampler = optuna.samplers.TPESampler(
                        seed=self.seed + len(self.study.trials), constant_liar=True
                    )
                    trial = self.study.ask()
                    self._held = self._lock(trial.number)
                    self._held.acquire(timeout=0)
                    return trial, suggest(trial, self.space)
            time.sleep(_WAIT_S)

    def complete(self, trial: optuna.Trial, value: float, keep_best: Callable[[], None]) -> None:
        """Note what a trial reached; if it is the best so far, keep what it made first."""
        with self._claiming:
            if self.is_best(value):
                keep_best()
            self.study.tell(trial, value)
            self.release()

    def prune(self, trial: optuna.Trial) -> None:
        """Note that a trial was stopped."""
        self.study.tell(trial, state=TrialState.PRUNED)
        self.release()

    def fail(self, trial: optuna.Trial) -> None:
        """Note that a trial failed, which is tried again."""
        with self._claiming:
            self._repeat(trial.number)
            self.release()

    @property
    def done(self) -> int:
        """Trials that are complete, pruned, or were given up."""
        finished = self._of(TrialState.COMPLETE, TrialState.PRUNED)
        failed = self._of(TrialState.FAIL)
        return len(finished) + len([each for each in failed if each.user_attrs.get(_ATTEMPT, 1) >= ATTEMPTS])

    def is_best(self, value: float) -> bool:
        """Whether this is more than what all complete trials reached."""
        return all(value > (trial.value or 0) for trial in self._of(TrialState.COMPLETE))

    def _of(self, *states: TrialState) -> list[FrozenTrial]:
        return self.study.get_trials(deepcopy=False, states=states)

    def _lock(self, number: int) -> filelock.BaseFileLock:
        return filelock.FileLock(os.path.join(self.folder, "locks", f"{number}.lock"))

    def release(self) -> None:
        """Leave the trial; unless it has ended, it is begun again."""
        if self._held is not None:
            self._held.release()
            self._held = None

    def _repeat_killed(self) -> None:
        for trial in self._of(TrialState.RUNNING):
            lock = self._lock(trial.number)
            try:
                lock.acquire(timeout=0)
            except filelock.Timeout:
                continue  # its process is alive
            self._repeat(trial.number)
            lock.release()

    def _repeat(self, number: int) -> None:
        """Note that a trial failed, and have it tried again."""
        trial = self.study.trials[number]
        attempt = int(trial.user_attrs.get(_ATTEMPT, 1))
        if attempt < ATTEMPTS and trial.params:  # without, it was killed before it had any
            self.study.enqueue_trial(trial.params, user_attrs={_ATTEMPT: attempt + 1})
        self.study.tell(number, state=TrialState.FAIL)


class ReportToTrial(Callback):
    """Tells a trial the rank correlation of each epoch.

    Raises:
        TrialPruned: from within the training, if the trial is to be stopped.
    """

    def __init__(self, trial: optuna.Trial) -> None:
        self.trial = trial
        self.values: list[float] = []

    @override
    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self.values.append(float(trainer.callback_metrics[VALIDATION_SPEARMAN]))
        self.trial.report(self.values[-1], trainer.current_epoch)
        if self.trial.should_prune():
            raise optuna.TrialPruned

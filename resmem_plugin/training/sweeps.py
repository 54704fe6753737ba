"""`sweep`: a search for the options that train best, by one or several processes."""

from __future__ import annotations

import collections
import hashlib
import json
import os
import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pandas as pd

from resmem_plugin.core.atomic import replacing
from resmem_plugin.core.errors import MissingPackageError, OptionError
from resmem_plugin.core.scoring.options import ScorerOptions, reader_of
from resmem_plugin.reports.sweep import save_sweep_picture
from resmem_plugin.training.config import TrainingConfig
from resmem_plugin.training.finetuning import save_trained
from resmem_plugin.training.options import TrainingOptions
from resmem_plugin.training.rated import RatedImages, check_rated
from resmem_plugin.training.run import TrainingRun, remove_temporary
from resmem_plugin.training.space import check_space

if TYPE_CHECKING:
    import optuna

    from resmem_plugin.training.trials import Trials

_DESCRIPTION, _BEST = "sweep.json", "best.safetensors"
_MEMORABILITY = "memorability"
_COLUMNS = 4  # before those of the options


@dataclass(frozen=True)
class Sweep:
    """What a sweep found.

    Attributes:
        folder: with the study, the best weights, their model card and the figures of each trial.
        trials: one row for each: "trial", "state" (COMPLETE, PRUNED or FAIL), "validation_spearman" (the best epoch's),
            "history" (that of each epoch) and the options that were tried.
        best: the options of the best one, as `TrainingOptions`; None if no trial was complete.
        weights: of the best one, with their hash.
    """

    folder: str
    trials: pd.DataFrame = field(repr=False)
    best: TrainingOptions | None
    weights: str | None

    def __str__(self) -> str:
        counts = collections.Counter(self.trials["state"].astype(str))
        lines = [", ".join(f"{count} trials {state.lower()}" for state, count in counts.items())]
        if self.best is not None:
            row = self.trials.sort_values("validation_spearman").dropna(subset="validation_spearman").iloc[-1]
            tried = ", ".join(f"{name}={row[name]}" for name in self.trials.columns[_COLUMNS:])
            lines += [f"best: {row['validation_spearman']:.3f} with {tried}", f"weights: {self.weights}"]
        return "\n".join(lines)


def sweep(
    config: TrainingConfig | str | os.PathLike[str],
    output: str | os.PathLike[str] | None = None,
    *,
    trials: int | None = None,
    progress: bool | None = None,
) -> Sweep:
    """Search for the options that train best, by Optuna's tree-structured Parzen estimator.

    Several processes may call it with the same configuration at the same time, and share the work. A trial whose
    process was killed is begun again, from its last checkpoint.

    Args:
        config: data, options and search space, or a YAML file of them; see `TrainingConfig`.
        output: the folder to write; None: that of the configuration.
        trials: how many there shall be; None: as the configuration says. A sweep that is complete goes on with more.
        progress: show bars; None: on a terminal.

    Raises:
        OptionError: for a configuration that does not fit, or a folder that holds another sweep.
        WeightsError: if the weights to start from cannot be loaded.
        MissingPackageError: if Optuna or PyTorch Lightning is not installed.

    Examples:
        >>> import numpy as np
        >>> import pandas as pd
        >>> from PIL import Image
        >>> from resmem_plugin.training import TrainingConfig, sweep
        >>> photo = Image.open("coffee.png")
        >>> parts = [np.asarray(photo.crop((x, 0, x + 300, 300))) for x in range(0, 240, 12)]
        >>> frame = pd.DataFrame({"path": parts, "hit_rate": np.linspace(0.5, 0.9, len(parts))})
        >>> options = {"resnet": "frozen", "augment": "none", "epochs": 1}
        >>> space = {"learning_rate": {"low": 1e-5, "high": 1e-3, "log": True}}
        >>> config = TrainingConfig(data=frame, target="hit_rate", training=options, space=space, trials=1)
        >>> found = sweep(config, "sweep")
        >>> found.trials["state"].tolist(), 1e-5 < found.best.learning_rate < 1e-3
        (['COMPLETE'], True)
    """
    try:
        import optuna

        from resmem_plugin.training.trials import Trials
    except ModuleNotFoundError as error:
        raise MissingPackageError(f'a sweep needs {error.name}: pip install "resmem-plugin[sweep]"') from error

    if not isinstance(config, TrainingConfig):
        config = TrainingConfig.read(config)
    check_space(config.space, config.training)
    folder = os.fspath(output if output is not None else config.output or "sweep")
    frame = config.frame()
    rated = check_rated(frame, _MEMORABILITY, "path", config.split_of(frame))
    fixed = TrainingOptions.of(config.training)
    _open(folder, config, rated)
    total = config.trials if trials is None else trials
    shared = Trials(folder, config.space, total, seed=fixed.seed, prune=config.prune)
    failures: list[Exception] = []
    while (claimed := shared.claim()) is not None:
        trial, chosen = claimed
        try:
            _try(shared, trial, {**config.training, **chosen}, rated, frame, progress)
        except optuna.TrialPruned:
            shared.prune(trial)
        except Exception as error:  # out of memory, a combination of options that does not fit, ...
            failures.append(error)
            shared.fail(trial)
            if isinstance(error, OptionError):
                raise
        finally:
            shared.release()
    remove_temporary(folder)
    found = _result(folder, config, shared.study)
    save_sweep_picture(os.path.join(folder, "sweep.png"), found.trials)
    if found.best is None and failures:
        raise failures[-1]
    return found


def _open(folder: str, config: TrainingConfig, rated: RatedImages) -> None:
    """Begin in a folder, or go on with the same sweep."""
    described = {"space": dict(config.space), "training": dict(config.training), "values": rated.digest}
    wanted = json.loads(json.dumps(described, default=str))
    os.makedirs(folder, exist_ok=True)
    path = os.path.join(folder, _DESCRIPTION)
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        if found != wanted:
            differing = ", ".join(sorted(key for key in wanted if found.get(key) != wanted[key]))
            raise OptionError(f"{folder} holds a sweep with other {differing}: name another folder, or remove it")
        return
    with replacing(path) as unfinished:
        unfinished.write_text(json.dumps(wanted, indent=2), encoding="utf-8")


def _try(
    shared: Trials,
    trial: optuna.Trial,
    options: dict[str, Any],
    rated: RatedImages,
    frame: pd.DataFrame,
    progress: bool | None,
) -> None:
    """Train with these options, and note what they reached."""
    import optuna

    from resmem_plugin.training.trials import ReportToTrial

    try:
        training = TrainingOptions.of(options)
    except OptionError:  # values that do not fit each other
        raise optuna.TrialPruned from None
    name = hashlib.sha256(json.dumps(options, sort_keys=True, default=str).encode()).hexdigest()[:12]
    own = os.path.join(shared.folder, "trials", name)
    report = ReportToTrial(trial)
    run = TrainingRun(
        own, rated, training, reader_of(ScorerOptions()), progress=progress, callbacks=[report], shared=shared.folder
    )
    try:
        with run.opened():
            trained = run.train(_MEMORABILITY)
            history = pd.DataFrame(trained.history)
            trial.set_user_attr("history", history["validation_spearman"].tolist())

            def keep_best() -> None:
                save_trained(trained, frame, _MEMORABILITY, os.path.join(shared.folder, _BEST), training)

            shared.complete(trial, float(history["validation_spearman"].max()), keep_best)
            run.finish(history)
    except Exception as error:
        if isinstance(error, optuna.TrialPruned):
            trial.set_user_attr("history", report.values)
        shutil.rmtree(own, ignore_errors=True)  # a checkpoint that fails would fail again
        raise


def _result(folder: str, config: TrainingConfig, study: optuna.Study) -> Sweep:
    from optuna.trial import TrialState

    from resmem_plugin.core.network.weights import sha256_of

    rows = [
        {
            "trial": trial.number,
            "state": trial.state.name,
            "validation_spearman": trial.value if trial.state == TrialState.COMPLETE else float("nan"),
            "history": trial.user_attrs.get("history", []),
            **{name: trial.params.get(name) for name in config.space},
        }
        for trial in study.trials
        if trial.state.is_finished()
    ]
    trials = pd.DataFrame(rows)
    complete = study.get_trials(deepcopy=False, states=(TrialState.COMPLETE,))
    path = os.path.join(folder, _BEST)
    best = TrainingOptions.of({**config.training, **study.best_params}) if complete else None
    return Sweep(folder, trials, best, f"{path}#sha256={sha256_of(path)}" if complete else None)

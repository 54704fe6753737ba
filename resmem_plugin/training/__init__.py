"""How good scores are on images whose memorability was measured, and training on such images."""

from resmem_plugin.training.config import TrainingConfig
from resmem_plugin.training.evaluation import Evaluation, evaluate
from resmem_plugin.training.finetuning import FineTuned, fine_tune
from resmem_plugin.training.head import FittedHead, fit_head
from resmem_plugin.training.options import TrainingOptions
from resmem_plugin.training.sweeps import Sweep, sweep

__all__ = [
    "Evaluation",
    "FineTuned",
    "FittedHead",
    "Sweep",
    "TrainingConfig",
    "TrainingOptions",
    "evaluate",
    "fine_tune",
    "fit_head",
    "sweep",
]

"""How good scores are on images whose memorability was measured."""

from resmem_plugin.training.evaluation import Evaluation, evaluate

__all__ = ["Evaluation", "evaluate"]

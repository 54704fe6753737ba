"""Folds the ResNet's BatchNorm layers into the convolutions before them: the same outputs, faster."""

from __future__ import annotations

from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

_PAIRS = (("conv1", "bn1"), ("conv2", "bn2"), ("conv3", "bn3"), ("0", "1"))  # the last of a shortcut


def fold_batch_norms(resnet: nn.Module, keep: nn.Module | None = None) -> None:
    """Fold them in place, in eval mode, but for the one after the convolution `keep`."""
    for module in list(resnet.modules()):
        children = dict(module.named_children())
        for conv_name, norm_name in _PAIRS:
            conv, norm = children.get(conv_name), children.get(norm_name)
            if conv is not keep and isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, conv_name, fuse_conv_bn_eval(conv, norm))
                setattr(module, norm_name, nn.Identity().eval())

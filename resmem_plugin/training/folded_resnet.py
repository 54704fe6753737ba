"""The ResNet-152 with its BatchNorm layers in eval mode, each as a part of the convolution before it.

Such a layer is one multiplication and one addition for each channel, and so is a convolution's weight and bias. Doing
it there is faster, and halves what must be kept for the gradients. The parameters are those of the layers, and get
the same gradients.
"""

from __future__ import annotations

from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resmem_plugin.core.network.resnet import Bottleneck, ResNet152


def resnet_logits(resnet: ResNet152, x: Tensor) -> Tensor:
    """Images (B, 3, H, W) -> logits (B, 1000): `ResNet152.forward` in eval mode, whatever the mode is."""
    x = resnet.maxpool(torch.relu_(_convolve(x, resnet.conv1, resnet.bn1)))
    for stage in (resnet.layer1, resnet.layer2, resnet.layer3, resnet.layer4):
        for block in stage:
            x = _bottleneck(cast("Bottleneck", block), x)
    logits: Tensor = resnet.fc(torch.flatten(resnet.avgpool(x), 1))
    return logits


def _bottleneck(block: Bottleneck, x: Tensor) -> Tensor:
    y = torch.relu_(_convolve(x, block.conv1, block.bn1))
    y = torch.relu_(_convolve(y, block.conv2, block.bn2))
    y = _convolve(y, block.conv3, block.bn3)
    y += x if block.downsample is None else _convolve(x, *block.downsample)  # type: ignore[misc]
    return torch.relu_(y)


def _convolve(x: Tensor, convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> Tensor:
    mean, variance = cast("tuple[Tensor, Tensor]", (norm.running_mean, norm.running_var))
    scale = norm.weight * torch.rsqrt(variance + norm.eps)
    bias = norm.bias - mean * scale
    weight = convolution.weight * scale[:, None, None, None]
    return F.conv2d(x, weight, bias, convolution.stride, convolution.padding)

"""Convolutions with their BatchNorm layers folded in: the same outputs, the same gradients."""

from __future__ import annotations

import torch
from torch import nn

from resmem_plugin.core.network.resnet import ResNet152
from resmem_plugin.training.folded_resnet import resnet_logits


def tamed() -> ResNet152:
    """A random network whose activations stay near 1 through all its layers."""
    torch.manual_seed(0)
    resnet = ResNet152()
    for module in resnet.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn_like(module.weight) / 10
            module.running_var = torch.rand_like(module.weight) + 1
            nn.init.uniform_(module.weight, 0.2, 0.6)
            nn.init.normal_(module.bias, std=0.1)
    return resnet.double().eval()


def test_outputs_and_gradients_are_those_of_eval_mode() -> None:
    resnet, x = tamed(), torch.rand(2, 3, 64, 64, dtype=torch.double)
    expected = resnet(x)
    expected.pow(2).sum().backward()
    gradients = {name: parameter.grad for name, parameter in resnet.named_parameters()}
    resnet.zero_grad(set_to_none=True)
    buffers = {name: buffer.clone() for name, buffer in resnet.named_buffers()}
    found = resnet_logits(resnet.train(), x)  # the mode does not matter
    found.pow(2).sum().backward()  # type: ignore[no-untyped-call]
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)
    assert float(expected.detach().std()) > 0.01
    for name, parameter in resnet.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], rtol=1e-6, atol=1e-10, msg=name)
    assert all(torch.equal(buffer, buffers[name]) for name, buffer in resnet.named_buffers())

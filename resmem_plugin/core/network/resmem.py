"""The ResMem network: a ResNet-152 and an AlexNet-like branch under one regression head.

Source: Needell & Bainbridge (2022), "Embracing New Techniques in Deep Learning for Estimating Image Memorability",
Computational Brain & Behavior 5, 168-184, doi 10.1007/s42113-022-00126-5.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from resmem_plugin.core.images.preprocess import INPUT_SIZE
from resmem_plugin.core.network.resnet import ResNet152

EMBEDDING_SIZE = 256


class ResMemNetwork(nn.Module):
    """The network without weights; its state dict has upstream's 956 entries.

    `features` is a whole ResNet-152; its 1000 logits join the 9216 outputs of the convolutional branch
    and go through seven fully connected layers to one sigmoid.

    Args:
        cruise_altitude: width of `conv3` and `conv4`; even. The published weights have 384.
    """

    def __init__(self, cruise_altitude: int = 384) -> None:
        super().__init__()
        self.features = ResNet152()
        self.conv1 = nn.Conv2d(3, 48, kernel_size=11, stride=4)
        self.conv2 = nn.Conv2d(48, 256, kernel_size=5, padding=2, groups=2)
        self.conv3 = nn.Conv2d(256, cruise_altitude, kernel_size=3, padding=1, groups=2)
        self.conv4 = nn.Conv2d(cruise_altitude, cruise_altitude, kernel_size=3, padding=1, groups=2)
        self.conv5 = nn.Conv2d(cruise_altitude, 256, kernel_size=3, padding=1, groups=2)
        self.fc6 = nn.Linear(256 * 6 * 6 + 1000, 4096)
        self.fc7 = nn.Linear(4096, 4096)
        self.fc8 = nn.Linear(4096, 2048)
        self.fc9 = nn.Linear(2048, 1024)
        self.fc10 = nn.Linear(1024, 512)
        self.fc11 = nn.Linear(512, EMBEDDING_SIZE)
        self.fc12 = nn.Linear(EMBEDDING_SIZE, 1)
        self.drp6 = nn.Dropout(0.5)
        self.drp7 = nn.Dropout(0.5)  # upstream has it and does not use it; kept so that the modules correspond
        self.drp8 = nn.Dropout(0.5)

    def forward(self, x: Tensor) -> Tensor:
        """Predict memorability.

        Args:
            x: float images in [0, 1], shape (B, 3, 227, 227) or (3, 227, 227), any memory format, not normalised.

        Returns:
            Memorability in (0, 1), shape (B, 1), or (1,) for one unbatched image.

        Raises:
            ValueError: for another shape.
        """
        if x.dim() not in (3, 4) or tuple(x.shape[-3:]) != (3, INPUT_SIZE, INPUT_SIZE):
            raise ValueError(
                f"ResMem takes images of shape (B, 3, {INPUT_SIZE}, {INPUT_SIZE}) or (3, {INPUT_SIZE}, {INPUT_SIZE}), "
                f"not {tuple(x.shape)}: resmem_plugin.transformer makes one from a PIL image"
            )
        scores = self.regress(self.embed(x if x.dim() == 4 else x.unsqueeze(0)))
        return scores if x.dim() == 4 else scores.squeeze(0)

    def regress(self, embeddings: Tensor) -> Tensor:
        """Embeddings (B, 256) -> memorability (B, 1).

        Examples:
            >>> import torch
            >>> from resmem_plugin import ResMem
            >>> ResMem(pretrained=True).regress(torch.zeros(2, 256)).shape
            torch.Size([2, 1])
        """
        return torch.sigmoid(self.fc12(embeddings).float())

    def embed(self, x: Tensor) -> Tensor:
        """The activations of the head's last hidden layer: (B, 3, 227, 227) -> (B, 256).

        The head runs in the precision of its weights even under autocast: it is 0.5 % of the work, and in bfloat16
        scores near 0.8 would be 0.004 apart.

        Examples:
            >>> import torch
            >>> from resmem_plugin import ResMem
            >>> model = ResMem(pretrained=True).eval()
            >>> model.embed(torch.zeros(2, 3, 227, 227)).shape
            torch.Size([2, 256])
        """
        return self.embed_branches(self.convolutions(x), self.features(x))

    def embed_branches(self, convolved: Tensor, logits: Tensor) -> Tensor:
        """`embed` from the outputs of both branches: (B, 9216) and the ResNet's (B, 1000) -> (B, 256).

        Examples:
            >>> import torch
            >>> from resmem_plugin import ResMem
            >>> model = ResMem(pretrained=True).eval()
            >>> x = torch.zeros(2, 3, 227, 227)
            >>> model.embed_branches(model.convolutions(x), model.features(x)).shape
            torch.Size([2, 256])
        """
        trunk = torch.cat([convolved, logits], dim=1)
        with torch.autocast(trunk.device.type, enabled=False):
            x: Tensor = self.drp6(F.relu(self.fc6(trunk.to(self.fc6.weight.dtype))))
            x = self.drp8(F.relu(self.fc7(x)))
            for layer in (self.fc8, self.fc9, self.fc10, self.fc11):
                x = F.relu(layer(x))
        return x

    def convolutions(self, x: Tensor) -> Tensor:
        """The branch beside the ResNet: (B, 3, 227, 227) -> (B, 9216).

        Examples:
            >>> import torch
            >>> from resmem_plugin import ResMem
            >>> ResMem(pretrained=True).convolutions(torch.zeros(2, 3, 227, 227)).shape
            torch.Size([2, 9216])
        """
        x = _pool_and_normalise(F.relu(self.conv1(x)))
        x = _pool_and_normalise(F.relu(self.conv2(x)))
        for layer in (self.conv3, self.conv4, self.conv5):
            x = F.relu(layer(x))
        return F.max_pool2d(x, kernel_size=3, stride=2).flatten(1)


def _pool_and_normalise(x: Tensor) -> Tensor:
    """Max-pool, then normalise over 5 channels, in float32: half precision has no kernel, or overflows."""
    pooled = F.max_pool2d(x, kernel_size=3, stride=2)
    return F.local_response_norm(pooled.float(), size=5).to(x.dtype)

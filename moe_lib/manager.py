"""Managers: who decides which expert an example goes to."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from moe_lib.layers import Activation, expert_mlp, require_matrix, require_positive


class Manager(nn.Module):
    r"""A multilayer perceptron from an example to one logit an expert; the gate is  p = softmax(logits).

    The field calls it a gating network. It sees x alone: never y, never a label, never the experts' losses.
    Explained in chapter 2; the defaults are those of the MoE-VAE in chapter 5.

    Args:
        in_features: D, the size of an example.
        num_experts: E.
        hidden: sizes of the hidden layers; empty for a linear manager.
        activation: between the layers.

    Shape:
        in: (B, D); out: logits (B, E).
    """

    def __init__(
        self, in_features: int, num_experts: int, hidden: Sequence[int] = (128,), activation: Activation = "sigmoid"
    ) -> None:
        super().__init__()
        require_positive("num_experts", num_experts)
        self.in_features, self.num_experts = in_features, num_experts
        self.layers = expert_mlp(1, [in_features, *hidden, num_experts], activation)

    def forward(self, x: Tensor) -> Tensor:
        require_matrix("x", x, self.in_features)
        return self.layers(x).squeeze(0)  # (B, E)


class ConvManager(nn.Module):
    r"""A small convolutional network from an image to one logit an expert.

    Two convolutions 5×5 of stride 2, then two linear layers, with batch normalisation and ReLU between them (Ioffe and
    Szegedy 2015, arXiv:1502.03167). In training an image's logits so depend on its batch; after `eval()`, as `fit`
    leaves it, they do not. Where several processes train together, each normalises its own part of the batch.
    Explained in chapter 8.

    Args:
        num_experts: E.
        channels: of the two convolutions.
        hidden: units of the hidden linear layer.

    Shape:
        in: images of 28 × 28 pixels (B, 784); out: logits (B, E).
    """

    def __init__(self, num_experts: int, channels: tuple[int, int] = (32, 64), hidden: int = 128) -> None:
        super().__init__()
        require_positive("num_experts", num_experts)
        self.in_features, self.num_experts = 784, num_experts
        first, second = channels
        self.layers = nn.Sequential(
            nn.Unflatten(1, (1, 28, 28)),
            nn.Conv2d(1, first, kernel_size=5, stride=2, padding=2),  # (B, C1, 14, 14)
            nn.BatchNorm2d(first),
            nn.ReLU(),
            nn.Conv2d(first, second, kernel_size=5, stride=2, padding=2),  # (B, C2, 7, 7)
            nn.BatchNorm2d(second),
            nn.ReLU(),
            nn.Flatten(),
            nn.Linear(49 * second, hidden),
            nn.BatchNorm1d(hidden),
            nn.ReLU(),
            nn.Linear(hidden, num_experts),
        )

    def forward(self, x: Tensor) -> Tensor:
        require_matrix("x", x, self.in_features)
        return self.layers(x)  # (B, E)


class FixedManager(nn.Module):
    """A manager with nothing to learn: a rule that was settled before the experts train (K-means, in chapter 3).

    Args:
        rule: from x (B, D) to the expert of each example, int64 (B,).
        num_experts: E.

    Shape:
        in: (B, D); out: logits (B, E), 0 for the rule's expert and minus infinity elsewhere, so that p is 1 and 0.
    """

    def __init__(self, rule: Callable[[Tensor], Tensor], num_experts: int) -> None:
        super().__init__()
        require_positive("num_experts", num_experts)
        self.rule, self.num_experts = rule, num_experts

    def forward(self, x: Tensor) -> Tensor:
        logits = torch.full((len(x), self.num_experts), -torch.inf, device=x.device)
        return logits.scatter_(1, self.rule(x).to(x.device).unsqueeze(1), 0.0)  # (B, E)

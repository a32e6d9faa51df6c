"""Managers: who decides which expert an example goes to."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from moe_lib.layers import Activation, Configured, expert_mlp, require_matrix, require_positive


class Manager(Configured, nn.Module):
    r"""A multilayer perceptron from an example to one logit an expert; the gate is  p = softmax(logits).

    The field calls it a gating network or a router. It sees x alone: never y, never a label, never the experts'
    losses. With `hidden` empty it is linear. Explained in chapter 2; the defaults are those of chapter 5's model.

    Shape:
        in: (B, D); out: logits (B, E).
    """

    def __init__(
        self, in_features: int, num_experts: int, hidden: Sequence[int] = (128,), activation: Activation = "sigmoid"
    ) -> None:
        super().__init__()
        require_positive("num_experts", num_experts)
        self.in_features, self.num_experts, self.hidden, self.activation = in_features, num_experts, hidden, activation
        self.layers = expert_mlp(1, in_features, hidden, num_experts, activation)

    def forward(self, x: Tensor) -> Tensor:
        require_matrix("x", x, self.in_features)
        return self.layers(x).squeeze(0)  # (B, E)


class FixedManager(nn.Module):
    """A manager with nothing to learn: a rule from x (B, D), D of any size, to experts, int64 (B,). Chapter 3."""

    def __init__(self, rule: Callable[[Tensor], Tensor], num_experts: int) -> None:
        super().__init__()
        require_positive("num_experts", num_experts)
        self.rule, self.in_features, self.num_experts = rule, None, num_experts

    def forward(self, x: Tensor) -> Tensor:
        # 0 for the rule's expert and minus infinity elsewhere, so that p is 1 and 0
        logits = torch.full((len(x), self.num_experts), -torch.inf, device=x.device)
        return logits.scatter_(1, self.rule(x).to(x.device).unsqueeze(1), 0.0)  # (B, E)

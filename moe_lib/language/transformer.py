"""A transformer that reads characters, small enough for one core; its feed-forward layers are mixtures."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from moe_lib.balance import Balance
from moe_lib.experts import Objective
from moe_lib.language.layer import RoutedLayer, Routing, ZLoss
from moe_lib.layers import Configured, require_positive


class Block(nn.Module):
    """Attention to what came before, then a mixture on each token alone; both add to x (B, T, D)."""

    def __init__(self, width: int, heads: int, layer: RoutedLayer) -> None:
        super().__init__()
        self.heads, self.layer = heads, layer
        self.norm, self.norm_layer = nn.LayerNorm(width), nn.LayerNorm(width)
        self.query_key_value, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> tuple[Tensor, Routing]:
        three = self.query_key_value(self.norm(x)).unflatten(2, (3, self.heads, -1))  # (B, T, 3, heads, D / heads)
        attended = F.scaled_dot_product_attention(*three.permute(2, 0, 3, 1, 4), is_causal=True)
        x = x + self.out(attended.transpose(1, 2).flatten(2))  # (B, T, D)
        change, routing = self.layer(self.norm_layer(x).flatten(0, 1))  # (B T, D)
        return x + change.view_as(x), routing


class LanguageModel(Configured, nn.Module):
    r"""From the characters so far to the next one. The loss is -ln p(next), in nats per character.

    It can be trained by `fit(model, x, y, ...)` with windows of a text, x (B, T), and the same one character later, y.
    Pre-norm blocks, fixed positions. The balancing term of each layer is added.

    Args:
        vocabulary: how many characters there are.
        width, heads, depth: of the transformer, D is the width.
        context: the longest window, T.
        balance: a term of `moe_lib.balance` on each layer's p, or None.
        z_loss: a term on each layer's logits, or None.
        hidden, num_experts, top_k, capacity, bias_rate: of each `RoutedLayer`.
    """

    def __init__(
        self, vocabulary: int, width: int = 64, heads: int = 4, depth: int = 2, context: int = 128,
        balance: Balance | None = None, z_loss: ZLoss | None = None, hidden: int = 128, num_experts: int = 8,
        top_k: int = 1, capacity: float | None = None, bias_rate: float = 0.0,
    ) -> None:  # fmt: skip
        super().__init__()
        for name, value in (("vocabulary", vocabulary), ("depth", depth), ("context", context)):
            require_positive(name, value)
        if width % heads or width % 2:
            raise ValueError(f"width is {width}; it must be even, and a multiple of the {heads} heads")
        self.vocabulary, self.width, self.heads, self.depth = vocabulary, width, heads, depth
        self.context, self.balance, self.z_loss = context, balance, z_loss
        self.hidden, self.num_experts, self.top_k = hidden, num_experts, top_k
        self.capacity, self.bias_rate = capacity, bias_rate
        layer = partial(RoutedLayer, width, hidden, num_experts, top_k, capacity, bias_rate)
        self.embedding = nn.Embedding(vocabulary, width)
        self.register_buffer("position", waves(context, width), persistent=False)
        self.blocks = nn.ModuleList(Block(width, heads, layer()) for _ in range(depth))
        self.norm, self.head = nn.LayerNorm(width), nn.Linear(width, vocabulary)

    def read(self, x: Tensor) -> tuple[Tensor, list[Routing]]:
        """Logits of the next character (B, T, vocabulary), and what each layer's manager decided."""
        h = self.embedding(x) + self.position[: x.shape[1]]  # (B, T, D)
        decided = []
        for block in self.blocks:
            h, routing = block(h)
            decided.append(routing)
        return self.head(self.norm(h)), decided

    def forward(self, x: Tensor, y: Tensor, noise: Any = None) -> Objective:
        logits, decided = self.read(x)
        expected = F.cross_entropy(logits.flatten(0, 1), y.flatten())
        return Objective(expected, self.balancing(decided))

    def balancing(self, decided: Sequence[Routing]) -> Tensor:
        """The sum of both terms over the layers, a scalar."""
        terms = [self.balance(routing.p) for routing in decided if self.balance]
        terms += [self.z_loss(routing.logits) for routing in decided if self.z_loss]
        return sum(terms, start=decided[0].p.new_zeros(()))

    def noise(self, n: int, generator: torch.Generator | None = None) -> None:
        """Nothing is drawn at random."""

    def check(self, x: Tensor, y: Tensor | None = None) -> None:
        """TypeError or ValueError unless x and y are int64 windows of this alphabet, no longer than the context."""
        for name, codes in (("x", x), ("y", y)):
            if codes is None:
                continue
            if not isinstance(codes, Tensor) or codes.dtype != torch.int64:
                raise TypeError(f"{name} must be an int64 tensor of characters' numbers; see windows()")
            if codes.dim() != 2 or codes.shape != x.shape or not 0 < codes.shape[1] <= self.context:
                raise ValueError(f"{name} has shape {tuple(codes.shape)}; expected (B, T), T at most {self.context}")
            if codes.numel() == 0 or codes.min() < 0 or codes.max() >= self.vocabulary:
                raise ValueError(f"{name} must hold numbers from 0 to {self.vocabulary - 1}, at least one")


def waves(length: int, width: int) -> Tensor:
    """Each place as sines and cosines of width / 2 wavelengths, (length, width): a step is a rotation of all of them.

    So a head finds the character before this one with a single linear map. Vaswani et al. 2017 (arXiv:1706.03762,
    section 3.5).
    """
    angles = torch.arange(length).unsqueeze(1) / 10_000 ** (torch.arange(0, width, 2) / width)  # (length, width / 2)
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)

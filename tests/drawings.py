"""Sixty digits and twenty things that are none, as strokes on the paper of the digits' playground.

The lines were laid down point by point and by eye, before the model had been asked about any of them. The limit of
the page is that of training images (tools/make_playground_weights.py), and was not moved afterwards.
"""

import math
from collections.abc import Callable
from itertools import pairwise

import torch

Stroke = list[tuple[float, float]]
Drawing = list[Stroke]

# Two ways to write each digit: on 100 by 100, rows downwards, smooth through its points.
PLAIN: dict[int, Drawing] = {
    0: [[(52, 0), (24, 15), (15, 50), (24, 86), (50, 100), (76, 86), (85, 50), (76, 14), (50, 0)]],
    1: [[(52, 0), (50, 50), (48, 100)]],
    2: [[(18, 22), (30, 4), (55, 0), (76, 12), (76, 34), (55, 62), (20, 98)], [(20, 98), (84, 98)]],
    3: [[(20, 10), (48, 0), (74, 12), (72, 34), (44, 46)], [(44, 46), (76, 58), (80, 82), (52, 100), (18, 90)]],
    4: [[(22, 2), (18, 55)], [(18, 55), (84, 52)], [(74, 4), (68, 100)]],
    5: [[(78, 2), (30, 4)], [(30, 4), (26, 42)], [(26, 42), (55, 36), (80, 56), (76, 86), (48, 100), (18, 90)]],
    6: [[(70, 2), (40, 22), (22, 58), (30, 92), (56, 98), (76, 78), (64, 56), (40, 58), (26, 76)]],
    7: [[(15, 4), (82, 2)], [(82, 2), (60, 40), (46, 100)]],
    8: [[(74, 16), (50, 2), (28, 16), (40, 42), (66, 60), (76, 82), (50, 100), (26, 84), (36, 58), (62, 42), (74, 16)]],
    9: [[(76, 22), (52, 4), (26, 20), (32, 46), (58, 48), (76, 24)], [(76, 22), (74, 60), (66, 100)]],
}
OTHER: dict[int, Drawing] = {
    0: [[(60, 2), (32, 20), (22, 60), (36, 96), (62, 84), (76, 42), (66, 6), (52, 4)]],
    1: [[(62, 0), (40, 100)]],
    2: [[(22, 20), (48, 0), (74, 14), (66, 44), (34, 78), (18, 96), (14, 84), (30, 80), (56, 94), (86, 92)]],
    3: [[(18, 4), (76, 4)], [(76, 4), (42, 42)], [(42, 42), (72, 50), (80, 76), (56, 98), (20, 92)]],
    4: [[(66, 0), (14, 64)], [(14, 64), (88, 64)], [(66, 0), (64, 100)]],
    5: [[(76, 6), (34, 6), (30, 44), (58, 40), (80, 62), (66, 92), (34, 100), (16, 90)]],
    6: [[(58, 0), (34, 40), (22, 76), (40, 98), (66, 92), (74, 70), (54, 58), (28, 70)]],
    7: [[(16, 4), (80, 2)], [(80, 2), (46, 100)], [(34, 52), (74, 48)]],
    8: [
        [(50, 2), (30, 12), (30, 36), (50, 46), (70, 36), (70, 12), (50, 2)],
        [(50, 46), (26, 60), (26, 88), (50, 100), (74, 88), (74, 60), (50, 46)],
    ],
    9: [[(70, 24), (58, 4), (32, 6), (24, 28), (40, 48), (64, 42), (70, 24)], [(70, 16), (68, 100)]],
}

STRANGERS: dict[str, Drawing] = {
    "A": [[(10, 100), (50, 0)], [(50, 0), (90, 100)], [(26, 62), (74, 62)]],
    "E": [[(20, 0), (20, 100)], [(20, 2), (80, 0)], [(20, 48), (70, 48)], [(20, 98), (82, 100)]],
    "K": [[(20, 0), (22, 100)], [(80, 2), (22, 54)], [(40, 42), (84, 100)]],
    "M": [[(8, 100), (18, 0)], [(18, 0), (50, 60)], [(50, 60), (84, 0)], [(84, 0), (94, 100)]],
    "R": [[(20, 0), (20, 100)], [(20, 2), (66, 4), (78, 24), (62, 46), (20, 50)], [(44, 50), (84, 100)]],
    "W": [[(0, 0), (26, 100)], [(26, 100), (50, 36)], [(50, 36), (74, 100)], [(74, 100), (100, 0)]],
    "dot": [[(50, 50)]],
    "three dots": [[(20, 50)], [(50, 52)], [(80, 50)]],
    "zigzag": [[(8, 20), (92, 10)], [(92, 10), (6, 40)], [(6, 40), (94, 34)], [(94, 34), (8, 66)], [(8, 66), (92, 90)]],
    "tangle": [[(20, 30), (80, 20), (40, 80), (90, 70), (10, 60), (60, 10), (70, 90), (30, 95), (50, 40), (95, 45)]],
    "spiral": [[(50 + 4.5 * t * math.cos(t), 50 + 4.5 * t * math.sin(t)) for t in (0.7 * k for k in range(16))]],
    "dash": [[(0, 52), (100, 48)]],
    "plus": [[(50, 0), (50, 100)], [(0, 50), (100, 50)]],
    "equals": [[(5, 34), (95, 32)], [(5, 66), (95, 66)]],
    "square": [[(6, 6), (94, 4)], [(94, 4), (96, 94)], [(96, 94), (6, 96)], [(6, 96), (6, 6)]],
    "triangle": [[(50, 4), (96, 92)], [(96, 92), (4, 92)], [(4, 92), (50, 4)]],
    "star": [[(50, 0), (80, 96)], [(80, 96), (2, 36)], [(2, 36), (98, 36)], [(98, 36), (20, 96)], [(20, 96), (50, 0)]],
    "heart": [
        [(50, 28), (34, 4), (8, 8), (2, 34), (20, 64), (50, 98)],
        [(50, 98), (80, 64), (98, 34), (92, 8), (66, 4), (50, 28)],
    ],
    "face": [
        [(50, 0), (14, 14), (0, 50), (14, 86), (50, 100), (86, 86), (100, 50), (86, 14), (50, 0)],
        [(34, 36), (34, 38)],
        [(66, 36), (66, 38)],
        [(28, 62), (50, 78), (72, 62)],
    ],
    "nothing": [],
}


def smooth(stroke: Stroke, steps: int = 8) -> torch.Tensor:
    """A curve through the points (N, 2): Catmull and Rom's."""
    points = torch.tensor(stroke, dtype=torch.float64)
    if len(points) < 3:
        return points
    ends = torch.cat([2 * points[:1] - points[1:2], points, 2 * points[-1:] - points[-2:-1]])
    a, b, c, d = (ends[i : len(ends) - 3 + i, None] for i in range(4))  # (N - 1, 1, 2) each
    t = (torch.arange(steps) / steps).reshape(1, -1, 1)
    curve = ((2 * b) + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3) / 2
    return torch.cat([curve.flatten(0, 1), points[-1:]])


def placed(drawing: list[torch.Tensor], height: float, left: float, top: float) -> list[torch.Tensor]:
    """On the paper, so high, and there."""
    return [stroke * height / 100 + torch.tensor([left, top]) for stroke in drawing]


def over_and_over(drawing: list[torch.Tensor], reach: float) -> list[torch.Tensor]:
    """As someone does who wants it thick: nine times, a little beside."""
    around = [(reach * math.cos(k * math.pi / 4), reach * math.sin(k * math.pi / 4)) for k in range(8)]
    return [stroke + torch.tensor(offset) for stroke in drawing for offset in [(0.0, 0.0), *around]]


def slanted(drawing: list[torch.Tensor], shear: float) -> list[torch.Tensor]:
    return [torch.stack([x + shear * (50 - y), y], dim=1) for x, y in (stroke.T for stroke in drawing)]


def wobbly(drawing: list[torch.Tensor], reach: float) -> list[torch.Tensor]:
    """By an unsteady hand: short waves along the way."""

    def shaken(stroke: torch.Tensor) -> torch.Tensor:
        parts = [int((b - a).norm() / 3) + 1 for a, b in pairwise(stroke)]  # a point every three
        ways = [torch.arange(n, dtype=torch.float64).unsqueeze(1) / n for n in parts]
        dense = torch.cat([torch.lerp(a, b, way) for (a, b), way in zip(pairwise(stroke), ways, strict=True)])
        way = (dense[1:] - dense[:-1]).norm(dim=1).cumsum(0)
        phase = torch.cat([torch.zeros(1), way]) / 4
        return dense + reach * torch.stack([phase.sin(), (1.3 * phase + 1).sin()], dim=1)

    return [shaken(stroke) for stroke in drawing]


MANNERS: dict[str, Callable[[int], list[torch.Tensor]]] = {
    "as MNIST": lambda digit: placed(curves(PLAIN[digit]), 76, 32, 32),
    "tiny": lambda digit: placed(curves(PLAIN[digit]), 14, 60, 64),
    "thick": lambda digit: over_and_over(placed(curves(OTHER[digit]), 84, 28, 28), 5),
    "slanted": lambda digit: placed(slanted(curves(PLAIN[digit]), 0.45), 76, 32, 32),
    "in a corner": lambda digit: placed(curves(OTHER[digit]), 40, 6, 95),
    "wobbly": lambda digit: placed(wobbly(curves(OTHER[digit]), 2.5), 80, 30, 30),
}


def curves(drawing: Drawing) -> list[torch.Tensor]:
    return [smooth(stroke) for stroke in drawing]


def strokes(drawing: list[torch.Tensor]) -> list[list[list[float]]]:
    """As the page takes them."""
    return [stroke.tolist() for stroke in drawing]


def digits() -> dict[tuple[str, int], list[list[list[float]]]]:
    """The sixty, by manner and digit."""
    return {(name, digit): strokes(manner(digit)) for name, manner in MANNERS.items() for digit in PLAIN}


def strangers() -> dict[str, list[list[list[float]]]]:
    """The twenty, by name."""
    return {name: strokes(placed(curves(drawing), 80, 30, 30)) for name, drawing in STRANGERS.items()}

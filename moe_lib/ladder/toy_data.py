"""The data of chapters 8 and 9: a function with borders on two levels, and the 7s that were sorted by eye."""

import json
import operator
from importlib.resources import files
from typing import NamedTuple

import torch
from torch import Tensor

from moe_lib.data import Points, require_deviation


def arcs(x: Tensor, borders: tuple[float, float, float]) -> Tensor:
    """The function of `two_levels` without noise, any shape:  y = u² left of the middle border, -(1 - u)² right of it.

    On each of the four arcs u runs from 0 to 1. The borders are not checked; `two_levels` does that. Chapter 9.
    """
    edges = torch.tensor([-1.0, *borders, 1.0], device=x.device)
    segment = _segment(x, borders)
    u = (x - edges[segment]) / (edges[segment + 1] - edges[segment])  # from 0 to 1 along each arc
    return torch.where(segment < 2, u.square(), -(1 - u).square())


def two_levels(
    n: int, borders: tuple[float, float, float] = (-0.4, 0.1, 0.6), noise: float = 0.03, seed: int = 0
) -> Points:
    """Points on four arcs in two families. Explained in chapter 9.

    Left of the middle border y = u² on both arcs, right of it y = -(1 - u)² on both, where u runs from 0 to 1 along
    each arc: one border between the families, and one inside each of them. The x are uniform on [-1, 1].

    Args:
        n: number of points.
        borders: where one arc ends and the next begins, from left to right.
        noise: standard deviation of the Gaussian noise on y.
        seed: the same seed gives the same points.

    Raises:
        ValueError: if n is below 4, the noise negative or not finite, or the borders do not rise inside (-1, 1).
    """
    if n < 4:
        raise ValueError(f"n is {n}; four arcs need at least 4 points")
    require_deviation(noise)
    if not (len(borders) == 3 and -1 < borders[0] < borders[1] < borders[2] < 1):
        raise ValueError(f"borders are {borders}; give three that rise between -1 and 1")
    generator = torch.Generator().manual_seed(operator.index(seed))
    x, _ = (2 * torch.rand(n, generator=generator) - 1).sort()
    y = arcs(x, borders) + noise * torch.randn(n, generator=generator)
    return Points(x.unsqueeze(1), y.unsqueeze(1), _segment(x, borders))


def _segment(x: Tensor, borders: tuple[float, ...]) -> Tensor:
    return torch.bucketize(x, torch.tensor(borders, device=x.device), right=True)


class Sevens(NamedTuple):
    """Test images of a seven; see `sevens`."""

    barred: Tensor
    """int64, indices of those with a bar through the stem."""
    plain: Tensor
    """int64, indices of those without."""


def sevens() -> Sevens:
    """The first 240 test images labelled 7, sorted by eye; the one that leaves doubt is in neither list.

    The bar is what the post's author would give an expert of its own. For evaluation only. Chapters 8 and 9.
    """
    sorted_by_eye = json.loads((files("moe_lib") / "assets" / "sevens.json").read_text(encoding="utf-8"))
    return Sevens(*(torch.tensor(sorted_by_eye[name]) for name in Sevens._fields))

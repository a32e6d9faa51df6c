"""Which images look alike, pixel by pixel: the second piece of prior knowledge of chapter 8."""

import operator

import torch
from torch import Tensor

from moe_lib.layers import require_finite, require_matrix


def neighbours(x: Tensor, k: int = 5) -> Tensor:
    """The k nearest others of each example by Euclidean distance, the nearest first: x (B, D) → int64 (B, k).

    All pairs are compared: 60,000 images take a minute or two on two cores. Explained in chapter 8.

    Raises:
        TypeError, ValueError: if x is no float32 tensor (B, D), has NaN, or k is not from 1 to B - 1.
    """
    require_matrix("x", x, x[0].numel() if isinstance(x, Tensor) and x.dim() > 1 and len(x) else 0)
    if not 1 <= k < len(x):
        raise ValueError(f"k is {k} for {len(x)} examples; each has from 1 to {len(x) - 1} others")
    from sklearn.neighbors import NearestNeighbors  # here, since importing it takes a second

    require_finite("x", x)
    search = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(x.detach().cpu().numpy())
    nearest = search.kneighbors(return_distance=False)  # asked without points: no example is its own neighbour
    return torch.from_numpy(nearest).long().to(x.device)


def relatives(x: Tensor, nearest: Tensor, seed: int) -> Tensor:
    """For each example one of its nearest others, drawn once at random: x (B, D), nearest (B, k) → (B, D).

    Raises:
        ValueError: if there is not one row of neighbours for each example.
    """
    if len(nearest) != len(x):
        raise ValueError(f"{len(nearest)} rows of neighbours for {len(x)} examples; give one row for each")
    generator = torch.Generator().manual_seed(operator.index(seed))
    drawn = torch.randint(nearest.shape[1], (len(x), 1), generator=generator)
    return x[nearest.gather(1, drawn.to(nearest.device)).squeeze(1)]

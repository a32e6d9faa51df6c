"""How a digit was written, in numbers: no label and no model is needed."""

from typing import NamedTuple

import torch
from torch import Tensor

from moe_lib.augmentation import SIDE
from moe_lib.layers import require_matrix


class Strokes(NamedTuple):
    """Of each image, (B,) each; see `strokes`."""

    slant: Tensor
    """Lean to the right, in pixels for each pixel upwards."""
    width: Tensor
    """Standard deviation of the ink across, in pixels."""
    ink: Tensor
    """Sum of all pixels."""


def strokes(images: Tensor) -> Strokes:
    """Slant, width and ink from the moments of the ink about its centre: images (B, 784) in [0, 1]. Chapter 5.

    slant = cov(right, up) / var(up),  width = sd(right),  ink = Σ_d x_d. An image without ink has no slant: NaN.

    Raises:
        TypeError, ValueError: if the images are no float32 tensor (B, 784).
    """
    require_matrix("images", images, SIDE * SIDE)
    at = torch.arange(float(SIDE), device=images.device)
    ink = images.view(-1, SIDE, SIDE)
    total = images.sum(dim=1)  # (B,)
    across, along = ink.sum(dim=1) / total.unsqueeze(1), ink.sum(dim=2) / total.unsqueeze(1)  # (B, 28) each
    right, up = at - across @ at.unsqueeze(1), along @ at.unsqueeze(1) - at  # (B, 28) each, from the centre
    lean = torch.einsum("byx,by,bx->b", ink, up, right) / total
    return Strokes(
        slant=lean / (along * up.square()).sum(dim=1),
        width=(across * right.square()).sum(dim=1).sqrt(),
        ink=total,
    )


def explained_variance(values: Tensor, groups: Tensor) -> float:
    """Share of the variance of values (B,) that lies between groups, int64 (B,):  1 - Σ_g n_g var_g / Σ_g n_g var.

    From 0, where all groups have the same mean, to 1, where nothing varies within them.

    Raises:
        ValueError: if there is not one group for each value, or the values do not vary.
    """
    if values.shape != groups.shape or values.dim() != 1:
        raise ValueError(f"values have shape {tuple(values.shape)}, groups {tuple(groups.shape)}; expected (B,) twice")
    whole = (values - values.mean()).square().sum()
    if not whole > 0:
        raise ValueError(f"the {len(values)} values do not vary; there is nothing to explain")
    within = sum((values[groups == g] - values[groups == g].mean()).square().sum() for g in groups.unique())
    return (1 - within / whole).item()

"""How a digit was written, in numbers, and digits deskewed and scaled: no label and no model is needed."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from moe_lib.ladder.augmentation import SIDE
from moe_lib.layers import require_finite, require_matrix

WIDTH, HEIGHT = 3.5, 6.3  # standard deviations of the ink of a deskewed digit, in pixels; MNIST's mean: 3.4 and 5.5
MAGNIFIED = 3.0  # at most so many times: no digit of MNIST needs more, but for most of the ones


class Strokes(NamedTuple):
    """Of each image, (B,) each; see `strokes`."""

    slant: Tensor
    """Lean to the right, in pixels for each pixel upwards."""
    width: Tensor
    """Standard deviation of the ink across, in pixels."""
    ink: Tensor
    """Sum of all pixels."""


def strokes(images: Tensor) -> Strokes:
    """Slant, width and ink from the moments of the ink about its centre: images (B, 784) in [0, 1]. Chapters 5 and 9.

    slant = cov(right, up) / var(up),  width = sd(right),  ink = Σ_d x_d. An image without ink has no slant: NaN.

    Raises:
        TypeError, ValueError: if the images are no float32 tensor (B, 784) in [0, 1], or there are none.
    """
    of = _moments(images)
    return Strokes(slant=of.lean / of.height2, width=of.width2.sqrt(), ink=of.ink)


def deskew(images: Tensor, rescale: bool = True) -> Tensor:
    r"""Images deskewed, centred and scaled to one width and height: (B, 784) → (B, 784). Chapters 8 and 9.

    What is drawn r pixels right of the middle and u above it is the ink that was at

    centre + ( a r + slant b u,  b u ),   b = sd(up) / 6.3,   a = sd(right - slant up) / 3.5

    so that afterwards the ink varies by 3.5 pixels across and 6.3 along. Nothing is
    magnified more than three times: a and b are at least a third, so that a bare vertical stroke stays one. Nothing is
    learnt: the numbers are the moments of each image alone. What is left is the shape, and the pen.

    Args:
        images: float32, in [0, 1].
        rescale: whether to change width and height; without, a = b = 1, and only slant and place go.

    Raises:
        TypeError, ValueError: if the images are no float32 tensor (B, 784) in [0, 1], there are none, or one has no
            ink.
    """
    of = _moments(images)
    if not (of.ink > 0).all():
        which = f"image {int((of.ink > 0).int().argmin())} of {len(images)} has no ink"
        raise ValueError(f"{which}: without ink there is no slant that could be undone")
    slant = of.lean / of.height2.clamp_min(1e-6)
    a, b = torch.ones(2, len(images), device=images.device)
    if rescale:
        b = (of.height2.sqrt() / HEIGHT).clamp_min(1 / MAGNIFIED)
        a = ((of.width2 - slant * of.lean).clamp_min(0).sqrt() / WIDTH).clamp_min(1 / MAGNIFIED)
    half = (SIDE - 1) / 2  # from the middle to an edge, in pixels, which grid_sample calls 1; its y points down
    across, down = of.centre[:, 0] / half - 1, of.centre[:, 1] / half - 1
    rows = torch.stack([torch.stack([a, -slant * b, across], 1), torch.stack([torch.zeros_like(b), b, down], 1)], 1)
    grid = F.affine_grid(rows, [len(images), 1, SIDE, SIDE], align_corners=True)  # (B, 28, 28, 2)
    return F.grid_sample(images.view(-1, 1, SIDE, SIDE), grid, align_corners=True).flatten(1)


class _Moments(NamedTuple):
    """Of the ink of each image, about its centre, in pixels."""

    ink: Tensor  # (B,), sum of all pixels
    centre: Tensor  # (B, 2), column and row
    width2: Tensor  # (B,), variance to the right
    height2: Tensor  # (B,), variance upwards
    lean: Tensor  # (B,), covariance of both


def _moments(images: Tensor) -> _Moments:
    require_matrix("images", images, SIDE * SIDE)
    if len(images) == 0:
        raise ValueError(f"images has shape {tuple(images.shape)}: there are no images")
    require_finite("images", images, 0.0, 1.0)
    at = torch.arange(float(SIDE), device=images.device)
    ink = images.view(-1, SIDE, SIDE)
    total = images.sum(dim=1)  # (B,)
    across, along = ink.sum(dim=1) / total.unsqueeze(1), ink.sum(dim=2) / total.unsqueeze(1)  # (B, 28) each
    centre = torch.stack([across @ at, along @ at], dim=1)  # (B, 2)
    right, up = at - centre[:, :1], centre[:, 1:] - at  # (B, 28) each
    return _Moments(
        ink=total,
        centre=centre,
        width2=(across * right.square()).sum(dim=1),
        height2=(along * up.square()).sum(dim=1),
        lean=torch.einsum("byx,by,bx->b", ink, up, right) / total,
    )


def explained_variance(values: Tensor, groups: Tensor) -> float:
    """Share of the variance of values (B,) that lies between groups, int64 (B,):  1 - Σ_g n_g var_g / Σ_g n_g var.

    From 0, where all groups have the same mean, to 1, where nothing varies within them. Chapter 9.

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

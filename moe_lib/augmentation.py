"""Augmentation: gentle random changes after which a digit is still the same digit."""

import torch
import torch.nn.functional as F
from torch import Tensor

from moe_lib.layers import require_matrix, require_positive

SIDE = 28


class Augmentation:
    r"""Turns, scales, shears, shifts and bends an image a little, and wipes a rectangle out of some.

    What it may do is prior knowledge about digits: it says which changes do not matter, and no label says so. Each
    image has random numbers of its own, so that the same numbers give the same picture on any device.
    Explained in chapter 8.

    Args:
        rotation: largest angle, in radians, either way.
        scale: largest change of size, as a share.
        shear: largest shear, as a share.
        shift: largest shift, as a share of the side.
        bend: largest displacement of the knots of a smooth warp, as a share of half the side.
        knots: of that warp, along each side.
        erase: share of images that lose a rectangle of 4 to 12 pixels a side.

    Shape:
        images (B, 784) in [0, 1] and numbers u (B, `size`), uniform in [0, 1) → (B, 784) in [0, 1].

    Raises:
        ValueError: if a share is not in [0, 1], or there are not `size` numbers for each image.
    """

    def __init__(
        self,
        rotation: float = 0.3,
        scale: float = 0.15,
        shear: float = 0.3,
        shift: float = 0.07,
        bend: float = 0.1,
        knots: int = 4,
        erase: float = 0.7,
    ) -> None:
        for name, share in (("scale", scale), ("shift", shift), ("bend", bend), ("erase", erase)):
            if not 0 <= share <= 1 or (name, share) == ("scale", 1):
                raise ValueError(f"{name} is {share}; it is a share, from 0 to 1 (scale below 1)")
        require_positive("knots", knots)
        self.rotation, self.scale, self.shear, self.shift = rotation, scale, shear, shift
        self.bend, self.knots, self.erase = bend, knots, erase
        self.parts = (5, 2 * knots**2, 5)
        self.size = sum(self.parts)

    def __repr__(self) -> str:
        names = ("rotation", "scale", "shear", "shift", "bend", "knots", "erase")
        return f"Augmentation({', '.join(f'{name}={getattr(self, name)}' for name in names)})"

    @classmethod
    def gentle(cls) -> "Augmentation":
        """The same without bending and erasing: what a manager starts from in chapter 8."""
        return cls(bend=0.0, erase=0.0)

    def __call__(self, images: Tensor, u: Tensor) -> Tensor:
        if u.shape != (len(images), self.size):
            raise ValueError(f"the numbers u have shape {tuple(u.shape)}; expected ({len(images)}, {self.size})")
        require_matrix("images", images, SIDE * SIDE)
        with torch.autocast(images.device.type, enabled=False):  # bfloat16 would be an eighth of a pixel off
            return self._changed(images, u)

    def _changed(self, images: Tensor, u: Tensor) -> Tensor:
        affine, warp, rectangle = u.split(self.parts, dim=1)
        grid = self._affine(2 * affine - 1) + self._warp(2 * warp - 1)  # (B, 28, 28, 2)
        moved = F.grid_sample(images.view(-1, 1, SIDE, SIDE), grid, align_corners=False)  # (B, 1, 28, 28)
        return (moved.squeeze(1) * self._kept(rectangle)).flatten(1)

    def _affine(self, s: Tensor) -> Tensor:
        """Where each pixel comes from, (B, 28, 28, 2) in [-1, 1], from five numbers in [-1, 1] an image."""
        angle, zoom, shear = s[:, 0] * self.rotation, 1 + s[:, 1] * self.scale, s[:, 2] * self.shear
        cos, sin = angle.cos() / zoom, angle.sin() / zoom
        right, down = s[:, 3] * 2 * self.shift, s[:, 4] * 2 * self.shift
        rows = [cos, shear * cos - sin, right, sin, shear * sin + cos, down]
        matrix = torch.stack(rows, dim=1).view(-1, 2, 3)
        return F.affine_grid(matrix, (len(s), 1, SIDE, SIDE), align_corners=False)

    def _warp(self, s: Tensor) -> Tensor:
        """A smooth displacement (B, 28, 28, 2), bicubic between the knots."""
        knots = self.bend * s.view(-1, 2, self.knots, self.knots)
        return F.interpolate(knots, size=(SIDE, SIDE), mode="bicubic", align_corners=True).permute(0, 2, 3, 1)

    def _kept(self, u: Tensor) -> Tensor:
        """1 where a pixel stays and 0 where it is wiped out, (B, 28, 28)."""
        height, width = 4 + 8 * u[:, 0], 4 + 8 * u[:, 1]
        inside = [
            (torch.arange(SIDE, device=u.device) >= start.unsqueeze(1))
            & (torch.arange(SIDE, device=u.device) < (start + length).unsqueeze(1))
            for start, length in ((u[:, 2] * (SIDE - height), height), (u[:, 3] * (SIDE - width), width))
        ]  # rows (B, 28), columns (B, 28)
        wiped = inside[0].unsqueeze(2) & inside[1].unsqueeze(1) & (u[:, 4] < self.erase).view(-1, 1, 1)
        return (~wiped).to(u.dtype)

"""Deformations of an image, and gentle random ones after which a digit is still the same digit."""

import torch
import torch.nn.functional as F
from torch import Tensor

from moe_lib.layers import Configured, require_matrix, require_positive

SIDE = 28


class Deformation(Configured):
    r"""Turns, scales, shears, shifts and bends images, each by numbers of its own.

    Args:
        rotation: largest angle, in radians, either way.
        scale: largest change of size, as a share below 1.
        shear: largest shear, as a share.
        shift: largest shift, as a share of the side.
        bend: largest displacement of the knots of a smooth warp, as a share of half the side.
        knots: of that warp, along each side.

    Shape:
        images (B, 784) and numbers s (B, `strengths`) in [-1, 1], of which 0 changes nothing → (B, 784). Both have
        gradients. The numbers are those of rotation, scale, shear and the two shifts, then the knots of the warp.

    Raises:
        ValueError: if a setting is out of its range, or there are not `strengths` numbers for each image.
    """

    features = SIDE * SIDE  # of the images that it can change

    def __init__(
        self,
        rotation: float = 0.3,
        scale: float = 0.15,
        shear: float = 0.3,
        shift: float = 0.07,
        bend: float = 0.1,
        knots: int = 4,
    ) -> None:
        for name, share in (("scale", scale), ("shift", shift), ("bend", bend)):
            if not 0 <= share <= 1 or (name, share) == ("scale", 1):
                raise ValueError(f"{name} is {share}; it is a share, from 0 to 1 (scale below 1)")
        require_positive("knots", knots)
        self.rotation, self.scale, self.shear, self.shift = rotation, scale, shear, shift
        self.bend, self.knots = bend, knots
        self.strengths = 5 + 2 * knots**2

    def move(self, images: Tensor, s: Tensor) -> Tensor:
        """The images deformed by their numbers."""
        require_matrix("images", images, SIDE * SIDE)
        if s.shape != (len(images), self.strengths):
            raise ValueError(f"the numbers s have shape {tuple(s.shape)}; expected ({len(images)}, {self.strengths})")
        with torch.autocast(images.device.type, enabled=False):  # bfloat16 would be an eighth of a pixel off
            grid = self._affine(s[:, :5].float()) + self._warp(s[:, 5:].float())  # (B, 28, 28, 2)
            moved = F.grid_sample(images.view(-1, 1, SIDE, SIDE), grid, align_corners=False)  # (B, 1, 28, 28)
        return moved.flatten(1)

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


class Augmentation(Deformation):
    r"""Deforms an image a little, at random, and wipes a rectangle out of some.

    What it may do is prior knowledge about digits: it says which changes do not matter, and no label says so. Each
    image has random numbers of its own, so that the same numbers give the same picture on any device.
    Explained in chapter 8.

    Args:
        erase: share of images that lose a rectangle of 4 to 12 pixels a side.
        rotation, scale, shear, shift, bend, knots: those of `Deformation`.

    Shape:
        images (B, 784) in [0, 1] and numbers u (B, `size`), uniform in [0, 1) → (B, 784) in [0, 1].

    Raises:
        ValueError: if a setting is out of its range, or there are not `size` numbers for each image.
    """

    def __init__(
        self,
        erase: float = 0.7,
        rotation: float = 0.3,
        scale: float = 0.15,
        shear: float = 0.3,
        shift: float = 0.07,
        bend: float = 0.1,
        knots: int = 4,
    ) -> None:
        super().__init__(rotation, scale, shear, shift, bend, knots)
        if not 0 <= erase <= 1:
            raise ValueError(f"erase is {erase}; it is a share, from 0 to 1")
        self.erase = erase
        self.size = self.strengths + 5

    @classmethod
    def gentle(cls) -> "Augmentation":
        """The same without bending and erasing: what a manager starts from in chapter 8."""
        return cls(bend=0.0, erase=0.0)

    def __call__(self, images: Tensor, u: Tensor) -> Tensor:
        if u.shape != (len(images), self.size):
            raise ValueError(f"the numbers u have shape {tuple(u.shape)}; expected ({len(images)}, {self.size})")
        moved = self.move(images, 2 * u[:, : self.strengths] - 1)  # (B, 784)
        return moved * self._kept(u[:, self.strengths :]).flatten(1)

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

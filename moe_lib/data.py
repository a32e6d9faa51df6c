"""The data of chapters 1 to 5: a function of one number whose law changes at a known place, and MNIST."""

import lzma
import operator
import tarfile
from importlib.resources import files
from typing import NamedTuple

import torch
from torch import Tensor


class Points(NamedTuple):
    """Points of a function of one number whose law changes at borders; see `two_parabolas`."""

    x: Tensor  # (B, 1), in [-1, 1], sorted
    y: Tensor  # (B, 1)
    segment: Tensor  # int64 (B,): which law each point follows, 0 on the left; for evaluation only


def parabolas(x: Tensor, split: float) -> Tensor:
    """The noiseless function: 4 (x + ½)² - ½ left of the split, 4 (x - ½)² - ½ from it on. Any shape."""
    return 4 * torch.where(x < split, x + 0.5, x - 0.5).square() - 0.5


def two_parabolas(
    n: int, split: float = 0.0, noise: float = 0.03, seed: int = 0,
    clouds: tuple[tuple[float, float], tuple[float, float]] = ((-1.0, 0.3), (0.7, 1.0)),
) -> Points:  # fmt: skip
    """Points on two parabolas that take over from one another at `split`, the border c of chapter 2.

    Half of the x are uniform on each cloud. Nothing happens to y between the clouds: where x is dense and where y
    changes its law are two different things, and chapter 3 turns on that difference.

    `noise` is the standard deviation of y's Gaussian noise; the clouds are (low, high) of x on the left and the right.
    """
    if n < 2:
        raise ValueError(f"n is {n}; two parabolas need at least 2 points")
    require_deviation(noise)
    for low, high in clouds:
        if not low < high:
            raise ValueError(f"cloud ({low}, {high}) is empty; give (low, high) with low < high")
    generator = torch.Generator().manual_seed(operator.index(seed))
    low, high = torch.tensor(clouds).repeat_interleave(torch.tensor([n - n // 2, n // 2]), dim=0).T  # (n,) each
    x, _ = (low + (high - low) * torch.rand(n, generator=generator)).sort()
    y = parabolas(x, split) + noise * torch.randn(n, generator=generator)
    return Points(x.unsqueeze(1), y.unsqueeze(1), (x >= split).long())


def require_deviation(noise: float) -> None:
    """Raises ValueError unless `noise` is finite and not negative."""
    if not 0 <= noise < float("inf"):
        raise ValueError(f"noise is {noise}; a standard deviation is finite and not negative")


class Digits(NamedTuple):
    """One half of MNIST."""

    images: Tensor  # float32 (B, 784) in [0, 1], row by row, 0 the paper and 1 the ink
    labels: Tensor  # int64 (B,), for evaluation only


def mnist() -> tuple[Digits, Digits]:
    """The 60,000 training and the 10,000 test images of MNIST (LeCun, Cortes and Burges), from inside the package.

    Nothing is downloaded, and nothing is written: the archive is unpacked in memory, which takes about a second.
    """
    archive = files("moe_lib") / "assets" / "mnist.tar.xz"
    try:
        with archive.open("rb") as stream, tarfile.open(fileobj=stream, mode="r:xz") as tar:
            raw = {member.name.partition("-")[0]: {} for member in tar.getmembers()}
            for member in tar.getmembers():
                half, kind = member.name.split("-")[:2]  # "train" or "t10k", "images" or "labels"
                raw[half][kind] = bytearray(tar.extractfile(member).read())
        return _digits(**raw["train"]), _digits(**raw["t10k"])
    except (OSError, EOFError, KeyError, TypeError, tarfile.TarError, lzma.LZMAError) as error:
        raise RuntimeError(f"{archive} is damaged ({error}). Install moe_lib again") from error


def _digits(images: bytearray, labels: bytearray) -> Digits:
    """From two IDX files, whose headers have 16 and 8 bytes."""
    pixels = torch.frombuffer(images, dtype=torch.uint8, offset=16).view(-1, 784)  # (B, 784)
    return Digits(pixels.float() / 255, torch.frombuffer(labels, dtype=torch.uint8, offset=8).long())

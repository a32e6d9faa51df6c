"""The data of the book: functions of one number whose laws change at known places, and MNIST."""

import hashlib
import json
import lzma
import os
import shutil
import tarfile
import tempfile
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

import torch
from torch import Tensor

MNIST_MD5 = {
    "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
    "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
    "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
    "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
}


class Points(NamedTuple):
    """Points of a function of one number whose law changes at borders; see `two_parabolas` and `two_levels`."""

    x: Tensor
    """(B, 1), in [-1, 1], sorted."""
    y: Tensor
    """(B, 1)."""
    segment: Tensor
    """int64 (B,): which law each point follows, counted from the left, 0 first. For evaluation only."""


def parabolas(x: Tensor, split: float) -> Tensor:
    """The noiseless function: 4 (x + ½)² - ½ left of the split, 4 (x - ½)² - ½ from it on. Any shape."""
    return 4 * torch.where(x < split, x + 0.5, x - 0.5).square() - 0.5


def two_parabolas(
    n: int,
    split: float = 0.0,
    noise: float = 0.03,
    seed: int = 0,
    clouds: tuple[tuple[float, float], tuple[float, float]] = ((-1.0, 0.3), (0.7, 1.0)),
) -> Points:
    """Points on two parabolas that take over from one another at `split`, x' in the book. Explained in chapter 2.

    Half of the x are uniform on each cloud. Nothing happens to y between the clouds: where x is dense and where y
    changes its law are two different things, and chapter 3 turns on that difference.

    Args:
        n: number of points.
        split: x', where the second parabola takes over.
        noise: standard deviation of the Gaussian noise on y.
        seed: the same seed gives the same points.
        clouds: (low, high) of the left and of the right cloud of x.

    Raises:
        ValueError: if n is below 2, the noise negative or not finite, or a cloud empty.
    """
    if n < 2:
        raise ValueError(f"n is {n}; two parabolas need at least 2 points")
    _require_deviation(noise)
    for low, high in clouds:
        if not low < high:
            raise ValueError(f"cloud ({low}, {high}) is empty; give (low, high) with low < high")
    generator = torch.Generator().manual_seed(seed)
    low, high = torch.tensor(clouds).repeat_interleave(torch.tensor([n - n // 2, n // 2]), dim=0).T  # (n,) each
    x, _ = (low + (high - low) * torch.rand(n, generator=generator)).sort()
    y = parabolas(x, split) + noise * torch.randn(n, generator=generator)
    return Points(x.unsqueeze(1), y.unsqueeze(1), (x >= split).long())


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
    _require_deviation(noise)
    if not (len(borders) == 3 and -1 < borders[0] < borders[1] < borders[2] < 1):
        raise ValueError(f"borders are {borders}; give three that rise between -1 and 1")
    generator = torch.Generator().manual_seed(seed)
    x, _ = (2 * torch.rand(n, generator=generator) - 1).sort()
    y = arcs(x, borders) + noise * torch.randn(n, generator=generator)
    return Points(x.unsqueeze(1), y.unsqueeze(1), _segment(x, borders))


def _segment(x: Tensor, borders: tuple[float, ...]) -> Tensor:
    return torch.bucketize(x, torch.tensor(borders, device=x.device), right=True)


def _require_deviation(noise: float) -> None:
    if not 0 <= noise < float("inf"):
        raise ValueError(f"noise is {noise}; a standard deviation is finite and not negative")


class Digits(NamedTuple):
    """One half of MNIST."""

    images: Tensor
    """float32 (B, 784) in [0, 1], row by row, 0 the paper and 1 the ink."""
    labels: Tensor
    """int64 (B,), for evaluation only: no training function of this library takes labels."""


def mnist(cache: str | Path | None = None) -> tuple[Digits, Digits]:
    """The 60,000 training and the 10,000 test images of MNIST (LeCun, Cortes and Burges), from inside the package.

    The first call unpacks 55 MB into the cache folder; nothing is ever downloaded. Every call compares the files with
    their checksums, and a damaged cache is made again.

    Args:
        cache: where to unpack; by default $MOE_LIB_CACHE, or moe_lib in the user's cache folder.

    Raises:
        PermissionError: if the folder cannot be written to.
        RuntimeError: if the archive inside the package is damaged.
    """
    from torchvision.datasets import MNIST  # takes seconds to import, and only MNIST needs it

    folder = Path(cache) if cache else _cache_folder()
    raw = folder / "MNIST" / "raw"
    if not _intact(raw):
        _unpack(raw)
    halves = (MNIST(folder, train=train) for train in (True, False))
    train, test = (Digits(half.data.flatten(1).float() / 255, half.targets) for half in halves)
    return train, test


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
    sorted_by_eye = json.loads((files("moe_lib") / "assets" / "sevens.json").read_text())
    return Sevens(*(torch.tensor(sorted_by_eye[name]) for name in Sevens._fields))


def _cache_folder() -> Path:
    if chosen := os.environ.get("MOE_LIB_CACHE"):
        return Path(chosen)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "moe_lib"


def _intact(raw: Path) -> bool:
    return all(
        (raw / name).is_file() and hashlib.md5((raw / name).read_bytes(), usedforsecurity=False).hexdigest() == md5
        for name, md5 in MNIST_MD5.items()
    )


def _unpack(raw: Path) -> None:
    """Unpacks beside the target and moves files in when they are whole: a killed run leaves no half of a file."""
    try:
        raw.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(dir=raw))
    except OSError as error:
        raise PermissionError(
            f"MNIST cannot be unpacked to {raw} ({error}). Set MOE_LIB_CACHE to a folder that you can write to"
        ) from error
    try:
        archive = files("moe_lib") / "assets" / "mnist.tar.xz"
        try:
            with archive.open("rb") as stream, tarfile.open(fileobj=stream, mode="r:xz") as tar:
                for name in MNIST_MD5:  # by name, one by one: no path in an archive can lead elsewhere
                    (scratch / name).write_bytes(tar.extractfile(name).read())
        except (OSError, EOFError, KeyError, tarfile.TarError, lzma.LZMAError) as error:
            raise RuntimeError(f"{archive} is damaged ({error}). Install moe_lib again") from error
        if not _intact(scratch):
            raise RuntimeError(f"{archive} is damaged: its files do not have their checksums. Install moe_lib again")
        for name in MNIST_MD5:
            os.replace(scratch / name, raw / name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)

"""The data: MNIST is the real one and asks nothing of the machine; the parabolas are where they say."""

import os
import sys

import numpy as np
import pytest
import torch

from core.tiny import forked, needs_fork
from moe_lib import data as data_module
from moe_lib import mnist, parabolas, two_parabolas


@pytest.fixture(scope="module")
def digits():
    return mnist()


def test_mnist_is_the_real_one(digits):
    train, test = digits
    assert train.images.shape == (60_000, 784)
    assert test.images.shape == (10_000, 784)
    assert train.images.dtype == torch.float32
    assert train.labels.dtype == torch.int64
    assert train.labels.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert test.labels.shape == (10_000,)
    for half in digits:
        assert (half.images.min(), half.images.max()) == (0, 1)
    assert train.images.mean().item() == pytest.approx(0.1307, abs=1e-4)


def test_ink_is_one_and_stands_where_it_should(digits):
    first = digits[1].images[0].view(28, 28)  # a seven: a bar above, a stem below, paper around
    assert not first[:7].any()
    assert not first[:, :6].any()
    assert first[7:10, 8:20].mean() > 0.5


@needs_fork
def test_mnist_needs_no_home_and_writes_nothing(tmp_path, monkeypatch):
    """Nobody's folder, a place where nothing can be written, and a process that may open files for reading only."""
    for name in ("HOME", "USERPROFILE", "XDG_CACHE_HOME", "TMPDIR", "TMP", "TEMP"):
        monkeypatch.delenv(name, raising=False)

    def forbid_writing(event, arguments):
        writes = event == "open" and (arguments[2] or 0) & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
        assert not writes, arguments
        assert event not in ("os.mkdir", "os.rename", "os.remove", "socket.connect", "subprocess.Popen"), event

    def work():
        gone = tmp_path / "gone"
        gone.mkdir()
        os.chdir(gone)
        gone.rmdir()
        sys.addaudithook(forbid_writing)
        assert [len(half.images) for half in mnist()] == [60_000, 10_000]

    assert forked(work) == 0


@pytest.mark.parametrize("harm", [lambda whole: whole[: len(whole) // 20], lambda whole: b"nonsense", None])
def test_a_damaged_archive_says_so(monkeypatch, tmp_path, harm):
    whole = (data_module.files("moe_lib") / "assets" / "mnist.tar.xz").read_bytes()
    (tmp_path / "assets").mkdir()
    if harm:
        (tmp_path / "assets" / "mnist.tar.xz").write_bytes(harm(whole))
    monkeypatch.setattr(data_module, "files", lambda package: tmp_path)
    with pytest.raises(RuntimeError, match=r"mnist\.tar\.xz is damaged .*Install moe_lib again"):
        mnist()


def test_two_parabolas_lie_on_their_law():
    x, y, segment = two_parabolas(500, split=0.1, noise=0.0, seed=3)
    assert x.shape == y.shape == (500, 1)
    torch.testing.assert_close(y, parabolas(x, split=0.1))
    assert torch.equal(segment, (x.flatten() >= 0.1).long())
    assert torch.equal(x, x.sort(dim=0).values)
    left, right = x[segment == 0], x[segment == 1]
    torch.testing.assert_close(y[segment == 0], 4 * (left + 0.5) ** 2 - 0.5)
    torch.testing.assert_close(y[segment == 1], 4 * (right - 0.5) ** 2 - 0.5)


def test_the_border_itself_belongs_to_the_right():
    assert parabolas(torch.tensor([0.1]), split=0.1).item() == pytest.approx(4 * 0.4**2 - 0.5)


def test_two_parabolas_have_their_noise_and_their_clouds():
    x, y, _ = two_parabolas(20_001, noise=0.2, clouds=((-1.0, -0.5), (0.5, 0.6)))
    assert (y - parabolas(x, 0.0)).std().item() == pytest.approx(0.2, rel=0.03)
    assert ((x < -0.5).sum(), (x > 0.5).sum()) == (10_001, 10_000)
    assert x.min() >= -1
    assert x.max() <= 0.6
    assert x[:10_001].mean().item() == pytest.approx(-0.75, abs=0.01)
    assert x[10_001:].mean().item() == pytest.approx(0.55, abs=0.01)


def test_two_parabolas_are_those_of_chapter_2_unless_told_otherwise():
    x, y, segment = two_parabolas(5000)
    assert ((x > -1) & (x < 0.3)).sum() == ((x > 0.7) & (x < 1)).sum() == 2500
    assert torch.equal(segment, (x.flatten() >= 0).long())
    assert (y - parabolas(x, 0.0)).std().item() == pytest.approx(0.03, rel=0.05)
    assert torch.equal(x, two_parabolas(5000, seed=0).x)


def test_two_parabolas_repeat_with_their_seed():
    assert torch.equal(two_parabolas(10, seed=1).y, two_parabolas(np.int64(10), seed=np.int64(1)).y)
    assert not torch.equal(two_parabolas(10, seed=1).y, two_parabolas(10, seed=2).y)
    assert len(two_parabolas(2).x) == 2


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 1}, "n is 1; two parabolas need at least 2"),
        ({"n": 10, "noise": float("nan")}, "noise is nan; .* finite and not negative"),
        ({"n": 10, "noise": float("inf")}, "finite and not negative"),
        ({"n": 10, "noise": -0.1}, "finite and not negative"),
        ({"n": 10, "clouds": ((0.0, 0.0), (0.5, 1.0))}, r"cloud \(0\.0, 0\.0\) is empty; .* low < high"),
        ({"n": 10, "clouds": ((0.0, 0.1), (1.0, 0.5))}, r"cloud \(1\.0, 0\.5\) is empty"),
    ],
)
def test_two_parabolas_refuse_nonsense(arguments, message):
    with pytest.raises(ValueError, match=message):
        two_parabolas(**arguments)

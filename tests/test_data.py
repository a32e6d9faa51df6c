"""The data: MNIST is the real one and survives a damaged cache; the parabolas are where they say."""

import pytest
import torch

from moe_lib import arcs, mnist, parabolas, sevens, two_levels, two_parabolas
from moe_lib import data as data_module


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def digits(cache):
    return mnist(cache)


def test_mnist_is_the_real_one(digits):
    train, test = digits
    assert train.images.shape == (60_000, 784)
    assert test.images.shape == (10_000, 784)
    assert train.images.dtype == torch.float32
    assert train.labels.dtype == torch.int64
    assert (train.images.min(), train.images.max()) == (0, 1)
    assert train.labels.bincount().tolist() == [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert test.labels[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]
    assert train.images.mean().item() == pytest.approx(0.1307, abs=1e-4)


def test_a_damaged_cache_is_made_again(digits, cache):
    victim = cache / "MNIST" / "raw" / "t10k-labels-idx1-ubyte"
    whole = victim.read_bytes()
    victim.write_bytes(whole[:-1] + b"\x00")
    assert torch.equal(mnist(cache)[1].labels, digits[1].labels)
    assert victim.read_bytes() == whole
    assert sorted(p.name for p in victim.parent.iterdir()) == sorted(data_module.MNIST_MD5), "no scratch is left"


def test_the_cache_folder_can_be_chosen(monkeypatch, tmp_path):
    monkeypatch.setenv("MOE_LIB_CACHE", str(tmp_path / "here"))
    assert data_module._cache_folder() == tmp_path / "here"
    monkeypatch.delenv("MOE_LIB_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert data_module._cache_folder() == tmp_path / "moe_lib"


def test_a_folder_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(PermissionError, match="Set MOE_LIB_CACHE"):
        mnist(tmp_path / "file")


def test_a_damaged_archive_says_so(monkeypatch, tmp_path):
    monkeypatch.setitem(data_module.MNIST_MD5, "t10k-labels-idx1-ubyte", "0" * 32)
    with pytest.raises(RuntimeError, match="Install moe_lib again"):
        mnist(tmp_path)
    assert not any(p.is_file() for p in tmp_path.rglob("*")), "nothing half-made is left"


def test_a_torn_archive_says_so(monkeypatch, tmp_path):
    whole = (data_module.files("moe_lib") / "assets" / "mnist.tar.xz").read_bytes()
    (tmp_path / "assets").mkdir()
    (tmp_path / "assets" / "mnist.tar.xz").write_bytes(whole[: len(whole) // 20])
    monkeypatch.setattr(data_module, "files", lambda package: tmp_path)
    with pytest.raises(RuntimeError, match="Install moe_lib again"):
        mnist(tmp_path / "cache")
    assert not any(p.is_file() for p in (tmp_path / "cache").rglob("*"))


def test_two_parabolas_lie_on_their_law():
    x, y, segment = two_parabolas(500, split=0.1, noise=0.0, seed=3)
    torch.testing.assert_close(y, parabolas(x, split=0.1))
    assert torch.equal(segment, (x.flatten() >= 0.1).long())
    left = x[segment == 0]
    torch.testing.assert_close(y[segment == 0], 4 * (left + 0.5) ** 2 - 0.5)


def test_two_parabolas_have_their_noise_and_their_clouds():
    x, y, _ = two_parabolas(20_000, noise=0.2, clouds=((-1.0, -0.5), (0.5, 0.6)))
    assert (y - parabolas(x, 0.0)).std().item() == pytest.approx(0.2, rel=0.03)
    assert ((x < -0.5).sum(), (x > 0.5).sum()) == (10_000, 10_000)
    assert x.min() >= -1
    assert x.max() <= 0.6


def test_two_parabolas_repeat_with_their_seed():
    assert torch.equal(two_parabolas(10, seed=1).y, two_parabolas(10, seed=1).y)
    assert not torch.equal(two_parabolas(10, seed=1).y, two_parabolas(10, seed=2).y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 1}, "n is 1"),
        ({"n": 10, "noise": float("nan")}, "finite and not negative"),
        ({"n": 10, "noise": -0.1}, "finite and not negative"),
        ({"n": 10, "clouds": ((0.0, 0.0), (0.5, 1.0))}, "low < high"),
    ],
)
def test_two_parabolas_refuse_nonsense(arguments, message):
    with pytest.raises(ValueError, match=message):
        two_parabolas(**arguments)


def test_two_levels_lie_on_their_four_arcs():
    borders = (-0.5, 0.0, 0.75)
    x, y, segment = two_levels(2_000, borders, noise=0.0, seed=3)
    torch.testing.assert_close(y, arcs(x, borders))
    assert torch.equal(segment, sum((x.flatten() >= border).long() for border in borders))
    laws = [lambda x: (2 * x + 2) ** 2, lambda x: (2 * x + 1) ** 2, lambda x: -((1 - x / 0.75) ** 2)]
    for arc, law in enumerate([*laws, lambda x: -((4 - 4 * x) ** 2)]):
        torch.testing.assert_close(y[segment == arc], law(x[segment == arc]), atol=1e-5, rtol=1e-5)


def test_two_levels_have_their_noise_and_repeat_with_their_seed():
    x, y, _ = two_levels(20_000, noise=0.2)
    assert (y - arcs(x, (-0.4, 0.1, 0.6))).std().item() == pytest.approx(0.2, rel=0.03)
    assert torch.equal(two_levels(10, seed=1).y, two_levels(10, seed=1).y)
    assert not torch.equal(two_levels(10, seed=1).y, two_levels(10, seed=2).y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"n": 3}, "n is 3"),
        ({"n": 10, "noise": -0.1}, "finite and not negative"),
        ({"n": 10, "borders": (0.1, -0.4, 0.6)}, "three that rise"),
        ({"n": 10, "borders": (-0.4, 0.1, 1.0)}, "three that rise"),
        ({"n": 10, "borders": (-0.4, 0.1)}, "three that rise"),
    ],
)
def test_two_levels_refuse_nonsense(arguments, message):
    with pytest.raises(ValueError, match=message):
        two_levels(**arguments)


def test_the_sevens_sorted_by_eye_are_the_first_sevens_of_the_test_images(digits):
    first = (digits[1].labels == 7).nonzero().flatten()[:240].tolist()
    barred, plain = (set(indices.tolist()) for indices in sevens())
    assert not barred & plain
    assert barred | plain < set(first)
    assert len(first) - len(barred | plain) == 1  # the one that leaves doubt
    assert min(len(barred), len(plain)) > 50


def test_a_bar_is_ink_to_the_left_of_the_stem(digits):
    """A rule that knows nothing of the lists: below the middle, a barred seven has a row that is much wider."""
    widths = []
    for indices in sevens():
        lower = digits[1].images[indices].view(-1, 28, 28)[:, 13:18] > 0.5  # (n, 5, 28)
        widths.append(lower.sum(dim=2).max(dim=1).values.float().median())
    assert widths[0] > 1.5 * widths[1]

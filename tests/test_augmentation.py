"""Changes of an image: none, known ones, and that each image is changed by its own numbers."""

import pytest
import torch

from moe_lib import Augmentation


@pytest.fixture
def images():
    images = torch.zeros(3, 28, 28)
    images[:, 8:20, 10:14] = 1.0  # an upright bar
    images[1, 8:12, 10:20] = 0.5
    return images.flatten(1)


def numbers(augmentation, n, value=0.5):
    """Numbers of the middle, which change nothing but may wipe a rectangle out."""
    u = torch.full((n, augmentation.size), value)
    u[:, -1] = 1.0  # no rectangle
    return u


def test_the_middle_of_every_range_changes_nothing(images):
    augmentation = Augmentation()
    torch.testing.assert_close(augmentation(images, numbers(augmentation, 3)), images, atol=1e-5, rtol=0)


def test_no_strength_no_change(images):
    still = Augmentation(rotation=0, scale=0, shear=0, shift=0, bend=0, erase=0)
    changed = still(images, torch.rand(3, still.size, generator=torch.Generator().manual_seed(0)))
    torch.testing.assert_close(changed, images, atol=1e-5, rtol=0)


def test_a_shift_moves_by_whole_pixels(images):
    augmentation = Augmentation(shift=4 / 28)
    u = numbers(augmentation, 3)
    u[:, 3] = 1.0  # look four pixels further right: the picture moves left
    moved = augmentation(images, u).view(3, 28, 28)
    torch.testing.assert_close(moved[:, :, :20], images.view(3, 28, 28)[:, :, 4:24], atol=1e-5, rtol=0)


def test_a_quarter_turn(images):
    augmentation = Augmentation(rotation=torch.pi / 2)
    u = numbers(augmentation, 3)
    u[:, 0] = 1.0
    turned = augmentation(images, u).view(3, 28, 28)
    torch.testing.assert_close(turned, images.view(3, 28, 28).rot90(1, dims=(1, 2)), atol=1e-4, rtol=0)


def test_a_rectangle_is_wiped_out_of_its_share_of_images():
    white = torch.ones(400, 784)
    augmentation = Augmentation(rotation=0, scale=0, shear=0, shift=0, bend=0, erase=0.7)
    changed = augmentation(white, torch.rand(400, augmentation.size, generator=torch.Generator().manual_seed(0)))
    holes = (changed.view(400, 28, 28)[:, 1:-1, 1:-1] < 0.5).sum(dim=(1, 2))  # the bilinear border aside
    assert 0.6 < (holes > 0).float().mean() < 0.8
    assert holes.max() <= 12 * 12
    assert holes[holes > 30].numel() > 100


def test_each_image_has_numbers_of_its_own(images):
    augmentation = Augmentation()
    u = torch.rand(3, augmentation.size, generator=torch.Generator().manual_seed(1))
    together = augmentation(images, u)
    alone = torch.cat([augmentation(images[i : i + 1], u[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone)
    assert together.min() >= 0
    assert together.max() <= 1 + 1e-6
    assert not torch.allclose(together[0], together[2])  # the same image, other numbers


def test_wrong_numbers_are_refused(images):
    with pytest.raises(ValueError, match=r"numbers u have shape \(3, 4\)"):
        Augmentation()(images, torch.rand(3, 4))
    with pytest.raises(ValueError, match=r"erase is 1\.5"):
        Augmentation(erase=1.5)

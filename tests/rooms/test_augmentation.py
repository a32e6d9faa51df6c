"""Changes of an image: none, known ones, and that each image is changed by its own numbers."""

import math

import pytest
import torch

from moe_lib.ladder import Augmentation, Deformation


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


@pytest.mark.parametrize(
    ("number", "source"),
    [
        (0, lambda x, y: (x * math.cos(0.3) - y * math.sin(0.3), x * math.sin(0.3) + y * math.cos(0.3))),
        (1, lambda x, y: (x / 1.15, y / 1.15)),  # what grows is looked at through a smaller window
        (2, lambda x, y: (x + 0.2 * y, y)),
        (3, lambda x, y: (x + 0.14, y)),  # 0.07 of the side, which is 2 long
        (4, lambda x, y: (x, y + 0.14)),
    ],
    ids=["rotation", "scale", "shear", "right", "down"],
)
def test_how_far_each_number_goes(number, source):
    """Where a pixel of the changed image comes from, on a paper from -1 to 1."""
    s = torch.zeros(1, 5)
    s[0, number] = 1.0
    grid = Deformation(rotation=0.3, scale=0.15, shear=0.2, shift=0.07)._affine(s)[0]  # (28, 28, 2)
    at = (torch.arange(28) - 13.5) / 14
    y, x = torch.meshgrid(at, at, indexing="ij")
    torch.testing.assert_close(grid, torch.stack(source(x, y), dim=2))


def test_knots_displace_what_is_near_them():
    deformation = Deformation(bend=0.25, knots=4)
    s = torch.zeros(1, deformation.strengths)
    s[0, 5:21] = 1.0  # all knots to the right, none down
    warp = deformation._warp(s[:, 5:])
    torch.testing.assert_close(warp[..., 0], torch.full((1, 28, 28), 0.25))
    assert warp[..., 1].abs().max() == 0
    s[0, 5:] = 0.0
    s[0, 5] = 1.0  # the knot in the upper left corner alone
    warp = deformation._warp(s[:, 5:])[0, :, :, 0]
    assert warp[0, 0] == pytest.approx(0.25)
    assert warp[18:].abs().max() < 0.01 and warp[:, 18:].abs().max() < 0.01


def test_gentle_changes_neither_bend_nor_erase():
    gentle = Augmentation.gentle()
    assert (gentle.bend, gentle.erase) == (0, 0)
    same = {name: value for name, value in gentle.settings().items() if name not in ("bend", "erase")}
    assert same == {name: Augmentation().settings()[name] for name in same}


def test_images_and_numbers_have_gradients():
    deformation = Deformation(knots=2)
    images = torch.rand(2, 784, requires_grad=True)
    s = torch.zeros(2, deformation.strengths, requires_grad=True)
    deformation.move(images, s).square().sum().backward()
    assert images.grad.abs().max() > 0
    assert (s.grad.abs().sum(dim=0) > 0).all()


def test_wrong_numbers_are_refused(images):
    with pytest.raises(ValueError, match=r"numbers u have shape \(3, 4\)"):
        Augmentation()(images, torch.rand(3, 4))
    with pytest.raises(ValueError, match=r"numbers s have shape \(3, 4\)"):
        Deformation().move(images, torch.rand(3, 4))
    for wrong in ({"erase": 1.5}, {"scale": 1}, {"shift": -0.1}, {"bend": 2}, {"knots": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(wrong))} is"):
            Augmentation(**wrong)

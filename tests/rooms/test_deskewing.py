"""Slant, width and ink of strokes whose numbers are known; and digits deskewed and scaled."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from moe_lib import Digits
from moe_lib.ladder import Deformation, deskew, explained_variance, strokes


@pytest.fixture(scope="module")
def digits(test_half):
    return Digits(*(part[:500] for part in test_half))


@pytest.fixture(scope="module")
def images(digits):
    return digits.images


def line(lean):
    """A line of ink through the middle that goes `lean` pixels to the right for each pixel upwards."""
    image = torch.zeros(28, 28)
    for up in range(-6, 7):
        image[14 - up, 14 + round(lean * up)] = 1.0
    return image.view(1, -1)


@pytest.mark.parametrize("lean", [-1, 0, 1])
def test_the_slant_of_a_line_is_its_lean(lean):
    assert strokes(line(lean)).slant.item() == pytest.approx(lean, abs=1e-5)


def test_an_empty_image_has_no_slant():
    assert strokes(torch.zeros(1, 784)).slant.isnan().all()


def test_width_and_ink_of_a_bar():
    image = torch.zeros(28, 28)
    image[10, 5:15] = 0.5
    image[11, 5:15] = 0.5
    found = strokes(image.view(1, -1))
    assert found.ink.item() == pytest.approx(10)
    assert found.width.item() == pytest.approx(torch.arange(10.0).std(correction=0).item(), rel=1e-5)
    assert found.slant.item() == pytest.approx(0, abs=1e-5)


def test_where_a_stroke_stands_and_how_dark_it_is_does_not_matter():
    first = line(1).view(28, 28)
    moved = 0.3 * first.roll((3, -2), dims=(0, 1))
    a, b = strokes(torch.stack([first.flatten(), moved.flatten()])).slant
    assert a.item() == pytest.approx(b.item(), abs=1e-5)


def spread_upwards(images):
    """Standard deviation of the ink along, which is the width of the image on its side."""
    return strokes(images.view(-1, 28, 28).transpose(1, 2).flatten(1)).width


def test_deskewed_digits_have_no_slant_and_one_size(digits):
    """All but ones, which would have to be magnified too much."""
    images = deskew(digits.images[digits.labels != 1])
    slant, width, _ = strokes(images)
    assert slant.abs().max() < 0.05
    assert (width - 3.5).abs().max() < 0.3
    height = spread_upwards(images)
    assert (height - 6.3).abs().median() < 0.1
    assert height.max() < 6.5 and height.min() > 5  # the edge of the paper cuts a little off long legs


def test_nothing_is_magnified_more_than_three_times(digits):
    ones = digits.images[digits.labels == 1]
    before, after = strokes(deskew(ones, rescale=False)).width, strokes(deskew(ones)).width
    thin = before < 3.5 / 3
    assert thin.float().mean() > 0.5
    assert (after / before)[thin].median().item() == pytest.approx(3, rel=0.02)
    assert (after / before)[thin].max() < 3.4  # to magnify is to blur a little
    dot = torch.zeros(1, 784)
    dot[0, 14 * 28 + 14] = 1.0
    assert strokes(deskew(dot)).ink.item() == pytest.approx(9, rel=0.05)  # three times as wide, three times as high


BLOCK = torch.zeros(28, 28)
BLOCK[9:19, 10:18] = 1.0  # in the middle of the paper, 8 pixels wide and 10 high


def test_without_scaling_only_slant_and_place_go(images):
    same = deskew(images, rescale=False)
    assert strokes(same).slant.abs().max() < 0.05
    assert (spread_upwards(same) - spread_upwards(images)).abs().max() < 0.15
    moved = BLOCK.roll((3, -5), dims=(0, 1)).view(1, -1)
    torch.testing.assert_close(deskew(moved, rescale=False).view(28, 28), BLOCK)


@pytest.mark.parametrize("lean", [-1, 1])
def test_a_sheared_block_becomes_a_block_again(lean):
    rows = [row.roll(lean * (13 - r)) for r, row in enumerate(BLOCK)]  # a pixel further for each row up
    sheared = torch.stack(rows).view(1, -1)
    assert strokes(sheared).slant.item() == pytest.approx(lean, abs=1e-5)
    torch.testing.assert_close(deskew(sheared, rescale=False).view(28, 28), BLOCK, atol=1e-4, rtol=0)


def test_a_deskewed_digit_forgets_how_it_was_sheared_scaled_and_shifted(images):
    deform = Deformation(rotation=0.0, bend=0.0)
    numbers = 2 * torch.rand(len(images), deform.strengths, generator=torch.Generator().manual_seed(0)) - 1
    before = (deform.move(images, numbers) - images).square().sum(dim=1)
    after = (deskew(deform.move(images, numbers)) - deskew(images)).square().sum(dim=1)
    assert after.median() < before.median() / 5


def test_without_ink_nothing_can_be_put_deskew():
    with pytest.raises(ValueError, match="image 1 of 2 has no ink"):
        deskew(torch.stack([torch.ones(784), torch.zeros(784)]))
    for entry in (deskew, strokes):
        with pytest.raises(ValueError, match="there are no images"):
            entry(torch.zeros(0, 784))


def test_wrong_images_are_refused():
    with pytest.raises(ValueError, match="784"):
        strokes(torch.rand(3, 28))


def test_variance_between_and_within_by_hand():
    values = torch.tensor([0.0, 2.0, 10.0, 12.0])  # 1 within each pair, 25 between them
    assert explained_variance(values, torch.tensor([0, 0, 1, 1])) == pytest.approx(25 / 26)
    assert explained_variance(values, torch.tensor([0, 1, 1, 0])) == pytest.approx(0)
    assert explained_variance(values, torch.tensor([3, 5, 7, 9])) == pytest.approx(1)


@given(st.integers(0, 1000))
def test_names_of_groups_do_not_matter(seed):
    generator = torch.Generator().manual_seed(seed)
    values, groups = torch.randn(20, generator=generator), torch.randint(3, (20,), generator=generator)
    share = explained_variance(values, groups)
    assert 0 <= share + 1e-6 <= 1 + 1e-6
    assert explained_variance(5 - 2 * values, 7 - groups) == pytest.approx(share, abs=1e-5)


@pytest.mark.parametrize(
    ("values", "groups", "message"),
    [(torch.ones(3), torch.arange(3), "do not vary"), (torch.rand(3), torch.arange(4), r"expected \(B,\) twice")],
)
def test_what_cannot_be_explained_is_refused(values, groups, message):
    with pytest.raises(ValueError, match=message):
        explained_variance(values, groups)

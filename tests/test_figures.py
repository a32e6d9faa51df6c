"""Figures that chapters share: the right picture in the right place, and a film that is one."""

import base64
import io
import re
import time

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch
from matplotlib_inline.config import InlineBackend

from moe_lib.teaching import figures


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_the_same_expert_has_the_same_colour_and_ten_differ():
    assert len({figures.color(e) for e in range(10)}) == 10
    assert figures.color(13) == figures.color(3)


def test_the_style_asks_for_drawings_and_gives_the_experts_colours():
    InlineBackend.clear_instance()
    with plt.rc_context():
        figures.use_style()
        _, ax = plt.subplots()
        assert [ax.plot([0, 1])[0].get_color() for _ in range(10)] == list(figures.EXPERT_COLORS)
    assert InlineBackend.instance().figure_formats == {"svg"}


IMAGES = torch.rand(2, 3, 16)


def drawn(fig, side=4):
    """Rows, columns, and the picture in each place, found by the titles' places."""
    (ax,) = fig.axes
    sheet = ax.images[0].get_array().data[:: figures.ZOOM, :: figures.ZOOM]
    tops, lefts = ([round(place - side / 2) for place in ticks] for ticks in (ax.get_yticks(), ax.get_xticks()))
    cells = [sheet[top : top + side, left : left + side] for top in tops for left in lefts]
    return len(tops), len(lefts), np.stack(cells)


def test_digit_grid_puts_each_image_in_its_cell():
    fig = figures.digit_grid(
        IMAGES, column_titles="abc", row_titles=["first", "second"], frames=["red", "green", "blue"]
    )
    rows, columns, cells = drawn(fig)
    assert (rows, columns) == (2, 3) and np.array_equal(cells.reshape(2, 3, 16), IMAGES.numpy())
    (ax,) = fig.axes
    assert [label.get_text() for label in ax.get_xticklabels()] == ["a", "b", "c"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["first", "second"]
    frames = [(box.get_edgecolor()[:3], (box.get_x() + 2, box.get_y() + 2)) for box in ax.patches]
    red, green, blue = (1, 0, 0), (0, 128 / 255, 0), (0, 0, 1)
    assert [colour for colour, _ in frames] == [pytest.approx(c) for c in (red, green, blue) * 2]
    assert [place for _, place in frames] == [(x, y) for y in ax.get_yticks() for x in ax.get_xticks()]


def test_digit_grid_has_words_below():
    fig = figures.digit_grid(IMAGES, below=[["a", "b", "c"], ["d", "e\nf", "g"]])
    assert np.array_equal(drawn(fig)[2].reshape(2, 3, 16), IMAGES.numpy())
    (ax,) = fig.axes
    assert [text.get_text() for text in ax.texts] == ["a", "b", "c", "d", "e\nf", "g"]
    fig.canvas.draw()
    bottoms = [y + 2 for y in ax.get_yticks()]
    boxes = [text.get_window_extent().transformed(ax.transData.inverted()) for text in ax.texts]
    for box, bottom in zip(boxes[:3], bottoms[:1] * 3, strict=True):
        assert bottom <= min(box.y0, box.y1) and max(box.y0, box.y1) <= bottoms[1] - 4, "between its row and the next"
    with pytest.raises(ValueError, match="words below for 2 rows of 3 images"):
        figures.digit_grid(IMAGES, below=["abc"])


def test_digit_grid_draws_ink_dark_and_paper_white():
    fig = figures.digit_grid(torch.stack([torch.zeros(16), torch.ones(16)]))
    picture = fig.axes[0].images[0]
    assert picture.get_cmap()(picture.norm(0.0))[:3] == (1, 1, 1) and picture.get_cmap()(picture.norm(1.0))[:3] == (
        0,
        0,
        0,
    )


@pytest.mark.parametrize(
    ("images", "rows", "columns"),
    [
        (IMAGES, 2, 3),
        (IMAGES.reshape(6, 16), 1, 6),
        (IMAGES.reshape(2, 3, 4, 4), 2, 3),
        (IMAGES.reshape(6, 4, 4), 1, 6),
        (IMAGES.numpy(), 2, 3),
        (IMAGES.clone().requires_grad_(), 2, 3),
        (IMAGES.double(), 2, 3),
        (list(IMAGES.reshape(6, 16)), 1, 6),
    ],
    ids=["grid", "row", "grid of squares", "row of squares", "array", "gradients", "64 bits", "list"],
)
def test_a_row_and_a_grid_are_drawn_in_every_form(images, rows, columns):
    shape = drawn(figures.digit_grid(images))
    assert shape[:2] == (rows, columns)
    assert np.array_equal(shape[2].reshape(6, 16), IMAGES.reshape(6, 16).numpy())


@pytest.mark.parametrize("image", [IMAGES[0, 0], IMAGES[0, 0].reshape(4, 4), IMAGES[:1, :1], IMAGES[0, 0].bfloat16()])
def test_one_picture_is_a_grid_of_one(image):
    assert drawn(figures.digit_grid(image))[:2] == (1, 1)
    _, ax = plt.subplots()
    figures.digit(ax, image)
    assert ax.images[0].get_array().shape == (4 * figures.ZOOM, 4 * figures.ZOOM)


def test_the_next_step_of_the_readme_takes_a_blink():
    start = time.perf_counter()
    assert drawn(figures.digit_grid(torch.rand(8, 784)), side=28)[:2] == (1, 8)
    assert time.perf_counter() - start < 20, "6,272 axes took minutes"


@pytest.mark.parametrize(
    ("images", "says"),
    [
        (torch.rand(28, 28, 3), r"shape \(28, 28, 3\) look like pictures in colour; .* images\.mean\(-1\)"),
        (torch.rand(2, 5, 28, 28, 3), "in colour"),
        (torch.rand(8, 28, 28, 1), "in colour"),
        (np.random.rand(28, 28, 4), "in colour"),
        (torch.rand(8, 100, 3), "no grid of square images"),
        (torch.rand(8, 783), r"shape \(8, 783\) are no grid of square images; give \(N, D\) for one row"),
        (torch.rand(8, 28, 27), "no grid of square images"),
        (torch.rand(2, 2, 2, 784), "no grid of square images"),
        (torch.rand(2, 2, 2, 28, 28), "no grid of square images"),
        (torch.rand(0, 784), "no grid of square images"),
        (torch.tensor(1.0), "no grid of square images"),
        (torch.rand(8, 0), "no grid of square images"),
        (torch.rand(8, 1), "no grid of square images"),
        (torch.rand(10_000, 784), r"are 10,000 pictures; give at most 400, for instance images\[:20\]"),
        (torch.full((8, 784), 255, dtype=torch.uint8), r"go up to 255; .* images / 255"),
        (np.full((2, 16), "a"), "give numbers"),
    ],
)
def test_what_is_no_grid_is_refused_at_once(images, says):
    with pytest.raises(ValueError, match=says):
        figures.digit_grid(images)
    assert not plt.get_fignums()


def test_pictures_of_ones_and_zeros_may_be_whole_numbers():
    assert drawn(figures.digit_grid((IMAGES > 0.5).to(torch.uint8)))[2].max() == 1
    assert drawn(figures.digit_grid(IMAGES > 0.5))[2].max() == 1


@pytest.mark.parametrize(
    ("titles", "says"),
    [
        ({"column_titles": ["a", "b"]}, "2 column titles for 3 columns"),
        ({"row_titles": ["a", "b", "c"]}, "3 row titles for 2 rows"),
        ({"frames": ["red"]}, "1 frames for 3 columns"),
    ],
)
def test_titles_must_be_as_many_as_what_they_name(titles, says):
    with pytest.raises(ValueError, match=says):
        figures.digit_grid(IMAGES, **titles)
    figures.digit_grid(IMAGES, frames=figures.EXPERT_COLORS)  # the colours of ten experts do for fewer


def test_one_digit_is_one():
    _, ax = plt.subplots()
    with pytest.raises(ValueError, match="digit draws one image"):
        figures.digit(ax, IMAGES)


def test_curves_are_thick_only_where_the_gate_is_at_least_half():
    _, ax = plt.subplots()
    x = torch.tensor([[0.0], [1.0], [2.0]])
    predictions = torch.tensor([[[1.0], [5.0]], [[2.0], [6.0]], [[3.0], [7.0]]])
    gate = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]], requires_grad=True)
    figures.expert_curves(ax, x, predictions, gate)
    dotted, thick = ax.lines[0].get_ydata(), ax.lines[1].get_ydata()
    assert dotted.tolist() == [1, 2, 3]
    assert thick[:2].tolist() == [1, 2]
    assert thick[2] != thick[2], "beyond its territory: a gap in the line"


def test_gate_curves_are_the_gate():
    _, ax = plt.subplots()
    gate = torch.tensor([[0.9, 0.1], [0.6, 0.4]], requires_grad=True)
    figures.gate_curves(ax, torch.tensor([[0.0], [1.0]]), gate)
    assert [line.get_ydata().tolist() for line in ax.lines] == gate.T.tolist()


def test_confusion_map_orders_the_experts():
    fig, ax = plt.subplots()
    figures.confusion_map(ax, torch.tensor([[1, 2], [3, 4]]), order=[1, 0])
    fig.canvas.draw()
    assert [text.get_text() for text in ax.texts] == ["3", "4", "1", "2"]
    assert [text.get_position() for text in ax.texts] == [(0.5, 0.5), (1.5, 0.5), (0.5, 1.5), (1.5, 1.5)]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["1", "0"]
    assert ax.get_ylim() == (2, 0), "the first expert is at the top"
    assert ax.collections[0].get_array().flatten().tolist() == pytest.approx([3 / 4, 4 / 6, 1 / 4, 2 / 6])


def test_a_film_is_an_mp4_with_a_still_and_words():
    def draw(fig, frame):
        fig.subplots().plot([0, frame])

    shown = []

    def draw_and_note(fig, frame):
        draw(fig, frame)
        shown.append(frame)

    html = figures.film(draw_and_note, frames=4, alt='a line that "grows"', size=(2.0, 1.5)).data
    assert 'aria-label="a line that &quot;grows&quot;"' in html
    video = base64.b64decode(re.search(r'src="data:video/mp4;base64,([^"]+)"', html).group(1))
    still = base64.b64decode(re.search(r'poster="data:image/png;base64,([^"]+)"', html).group(1))
    assert video[4:8] == b"ftyp"
    assert still[1:4] == b"PNG"
    fig = plt.figure(figsize=(2.0, 1.5), dpi=100)
    draw(fig, 0)
    fig.savefig(first := io.BytesIO(), bbox_inches=None)
    assert np.array_equal(plt.imread(io.BytesIO(still)), plt.imread(io.BytesIO(first.getvalue()))), "not the last frame"
    assert shown == [0, 1, 2, 3]

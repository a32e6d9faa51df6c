"""Figures that chapters share: the right picture in the right place, and a film that is one."""

import base64
import re

import matplotlib.pyplot as plt
import pytest
import torch
from matplotlib_inline.config import InlineBackend

from moe_lib import plots


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def test_the_same_expert_has_the_same_colour_and_ten_differ():
    assert len({plots.color(e) for e in range(10)}) == 10
    assert plots.color(13) == plots.color(3)


def test_the_style_asks_for_twice_the_pixels():
    InlineBackend.clear_instance()
    plots.use_style()
    assert InlineBackend.instance().figure_formats == {"retina"}


def test_digit_grid_puts_each_image_in_its_cell():
    images = torch.rand(2, 3, 16)
    fig = plots.digit_grid(images, column_titles="abc", row_titles=["first", "second"], frames=["red", "green", "blue"])
    shown = [ax.images[0].get_array().data.flatten().tolist() for ax in fig.axes]
    assert shown == images.flatten(0, 1).tolist()
    assert [ax.get_title() for ax in fig.axes] == ["a", "b", "c", "", "", ""]
    assert [fig.axes[i].get_ylabel() for i in (0, 3)] == ["first", "second"]


def test_curves_are_thick_only_where_the_gate_is_at_least_half():
    _, ax = plt.subplots()
    x = torch.tensor([[0.0], [1.0], [2.0]])
    predictions = torch.tensor([[[1.0], [5.0]], [[2.0], [6.0]], [[3.0], [7.0]]])
    gate = torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8]])
    plots.expert_curves(ax, x, predictions, gate)
    dotted, thick = ax.lines[0].get_ydata(), ax.lines[1].get_ydata()
    assert dotted.tolist() == [1, 2, 3]
    assert thick[:2].tolist() == [1, 2]
    assert thick[2] != thick[2], "beyond its territory: a gap in the line"


def test_confusion_map_orders_the_experts():
    _, ax = plt.subplots()
    plots.confusion_map(ax, torch.tensor([[1, 2], [3, 4]]), order=[1, 0])
    assert [text.get_text() for text in ax.texts] == ["3", "4", "1", "2"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["expert 1", "expert 0"]


def test_a_film_is_an_mp4_with_a_still_and_words():
    def draw(fig, frame):
        fig.subplots().plot([0, frame])

    html = plots.film(draw, frames=4, alt='a line that "grows"', size=(2.0, 1.5)).data
    assert 'aria-label="a line that &quot;grows&quot;"' in html
    video = base64.b64decode(re.search(r'src="data:video/mp4;base64,([^"]+)"', html).group(1))
    still = base64.b64decode(re.search(r'poster="data:image/png;base64,([^"]+)"', html).group(1))
    assert video[4:8] == b"ftyp"
    assert still[1:4] == b"PNG"

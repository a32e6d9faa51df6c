"""The book's diagrams: whole, in words too, with a box for every expert, and legible on a phone."""

import re
from xml.etree import ElementTree

import freshness
import nbformat
import pytest

from moe_lib import diagram
from moe_lib.diagrams import DIAGRAMS, WIDTH
from moe_lib.plots import EXPERT_COLORS

EXPERTS = {
    "eleven modules": 10, "manager and experts": 3, "mixture of regressions": 2, "mixture of VAEs": 2,
    "tree of experts": 4,
}  # fmt: skip
PHONE = 350  # pixels beside the margins of a page of 390
by_name = pytest.mark.parametrize("name", DIAGRAMS)


def parsed(name: str) -> ElementTree.Element:
    return ElementTree.fromstring(diagram(name)._repr_svg_())


def found(svg: ElementTree.Element, tag: str) -> list[ElementTree.Element]:
    return svg.findall(f".//{{http://www.w3.org/2000/svg}}{tag}")


@by_name
def test_every_expert_has_a_box_of_its_colour(name):
    boxes = [box.get("stroke") for box in found(parsed(name), "rect") if box.get("class") == "expert"]
    assert boxes == list(EXPERT_COLORS[: EXPERTS[name]])


@by_name
def test_it_is_said_in_words(name):
    svg = parsed(name)
    (title,), (words,) = found(svg, "title"), found(svg, "desc")
    assert svg.get("role") == "img"
    assert svg.get("aria-labelledby") == f"{title.get('id')} {words.get('id')}"
    assert title.text.lower() == name.lower()
    assert words.text == repr(diagram(name))
    assert len(words.text) > 80


@by_name
def test_it_refers_to_nothing_outside(name):
    text = diagram(name)._repr_svg_()
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"href|url\(|@import|<image|<script", text)


@by_name
def test_it_is_legible_on_a_phone(name):
    svg = parsed(name)
    assert svg.get("viewBox") == f"0 0 {WIDTH} {svg.get('height')}"
    assert int(svg.get("height")) <= 360
    assert min(float(text.get("font-size")) for text in found(svg, "text")) * PHONE / WIDTH >= 12


@by_name
def test_all_of_it_is_on_the_paper(name):
    svg = parsed(name)
    for box in found(svg, "rect"):
        x, y, width, height = (float(box.get(key, 0)) for key in ("x", "y", "width", "height"))
        assert 0 <= x <= x + width <= WIDTH
        assert 0 <= y <= y + height <= int(svg.get("height"))


def test_only_a_formula_is_in_italics_and_its_subscripts_are_low():
    svg = parsed("mixture of regressions")
    texts = {"".join(text.itertext()): text for text in found(svg, "text")}
    assert {text for text in texts if not texts[text].get("font-style")} == {"manager", "expert"}
    assert [(part.get("dy"), part.text) for part in texts["Σ pi lossi"]] == [
        ("6", "i"), ("-6", " loss"), ("6", "i"), ("-6", None),
    ]  # fmt: skip


def test_an_unknown_name_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match="diagram is 'tree'; choose one of eleven modules, manager and experts"):
        diagram("tree")


def test_chapters_show_each_with_its_own_words():
    shown = {}
    for path in freshness.chapters():
        for cell in nbformat.read(path, as_version=4).cells:
            if name := re.search(r"^diagram\(\"(.+)\"\)$", cell.source, re.MULTILINE):
                shown[name[1]] = cell.metadata.mystnb.image.alt
    assert shown == {name: repr(diagram(name)) for name in DIAGRAMS}

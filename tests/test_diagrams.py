"""The book's diagrams: whole, in words too, with a box for every expert, legible on a phone, and by day and night."""

import re
from xml.etree import ElementTree

import nbformat
import pytest

from moe_lib.records import provenance
from moe_lib.teaching import diagram
from moe_lib.teaching.diagrams import FOLDER
from moe_lib.teaching.figures import EXPERT_COLORS

EXPERTS = {
    "eleven modules": 10, "mixture of regressions": 2, "mixture of VAEs": 2,
    "tree of experts": 4, "VAE": 0,
}  # fmt: skip
WIDTH, PHONE = 700, 350  # of every drawing; pixels beside the margins of a page of 390
by_name = pytest.mark.parametrize("name", EXPERTS)


def parsed(name: str) -> ElementTree.Element:
    return ElementTree.fromstring(re.sub(r' xmlns="[^"]*"', "", diagram(name)._repr_svg_()))


def test_there_are_no_others():
    assert len(list(FOLDER.iterdir())) == len(EXPERTS)


@by_name
def test_it_shows_every_expert_in_its_colour_and_is_told_in_words(name):
    svg = parsed(name)
    colours = [group.get("stroke") for group in svg.iter("g") for box in group.findall("rect[@class='expert']")]
    assert colours == list(EXPERT_COLORS[: EXPERTS[name]])
    assert svg.get("role") == "img"
    title, words = svg.find("title"), svg.find("desc")
    assert svg.get("aria-labelledby") == f"{title.get('id')} {words.get('id')}"
    assert title.text.lower() == name.lower()
    assert words.text == repr(diagram(name))
    assert len(words.text) > 80


@by_name
def test_it_has_room_large_letters_and_ink_for_day_and_night(name):
    svg, text = parsed(name), str(diagram(name))
    height = int(svg.get("height"))
    assert (svg.get("viewBox"), height <= 360) == (f"0 0 {WIDTH} {height}", True)
    sizes = [float(part.get("font-size")) for part in svg.iter() if part.get("font-size")]
    assert min(sizes) * PHONE / WIDTH >= 8.5
    assert float(svg.get("font-size")) * PHONE / WIDTH >= 12
    for box in svg.iter("rect"):
        x, y, width, tall = (float(box.get(key)) for key in ("x", "y", "width", "height"))
        assert 0 <= x <= x + width <= WIDTH
        assert 0 <= y <= y + tall <= height
    assert set(re.findall(r"(?:fill|stroke)=\"(#\w+)\"", text)) <= set(EXPERT_COLORS)
    assert "white" not in text
    assert re.findall(r"(#\S+) \{ color", text) == [f"#{svg.get('id')}"], "ink; the page turns it light by night"
    assert "prefers-color-scheme" not in text, "what the system prefers need not be what the page shows"


@by_name
def test_it_refers_to_nothing_outside_and_its_style_to_nothing_else(name):
    text = diagram(name)._repr_svg_()
    assert re.findall(r"https?://[^\"]+", text) == ["http://www.w3.org/2000/svg"]
    assert not re.search(r"href|url\(|@import|<image|<script", text)
    rules = re.findall(r"([#.\w -]+) \{ (?:color|filter)", text)
    assert rules and all(rule.strip().startswith(f"#{parsed(name).get('id')}") for rule in rules)


def test_only_formulas_are_in_italics_and_their_subscripts_are_low():
    words = {
        "mixture of regressions": {"manager", "expert"},
        "tree of experts": {"manager", "expert", "all of them see x"},
    }
    for name, upright in words.items():
        groups = {group.get("font-style"): group.findall("text") for group in parsed(name).iter("g")}
        assert {"".join(text.itertext()) for text in groups[None]} == upright
        assert all(part.get("font-style") == "italic" for text in groups[None] for part in text)
        for formula in groups["italic"]:
            if "".join(formula.itertext()) == "Σ pi lossi":
                assert [(part.get("dy"), part.text) for part in formula] == [("6", "i"), ("-6", " loss"), ("6", "i")]
                break
        else:
            assert name == "tree of experts"


def test_an_unknown_name_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match="diagram is 'tree'; choose one of eleven modules, mixture of"):
        diagram("tree")


def test_chapters_show_each_with_its_own_words():
    shown = {}
    for path in provenance.chapters():
        for cell in nbformat.read(path, as_version=4).cells:
            if name := re.search(r"^diagram\(\"(.+)\"\)$", cell.source, re.MULTILINE):
                shown[name[1]] = cell.metadata.mystnb.image.alt
    assert shown == {name: repr(diagram(name)) for name in EXPERTS}

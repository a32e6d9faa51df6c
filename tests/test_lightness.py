"""Pages that are light to load: formulas typeset, one stylesheet, scripts and pictures that wait."""

import io
import re
import xml.etree.ElementTree as ElementTree
from base64 import b64encode
from pathlib import Path

import pytest
from bs4 import BeautifulSoup
from moe_book import formulas, lightness
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace
from visits import HTML

from moe_lib.teaching.diagrams import FOLDER

pytestmark = pytest.mark.built

# --- Formulas ---------------------------------------------------------------------------------------------------------


def test_a_formula_is_a_picture_and_mathml():
    html = formulas.typeset(r"\frac{a}{b}", False)
    assert "<svg" in html and 'aria-hidden="true"' in html and "<use" not in html and ' id="' not in html
    math = ElementTree.fromstring(re.search(r"<math.*</math>", html)[0])
    assert "".join(math.itertext()) == "ab" and math.find(".//{*}mfrac") is not None
    assert 'tabindex="0"' in formulas.typeset("a", True) and "tabindex" not in html


@pytest.mark.parametrize(
    ("tex", "error"),
    [(r"\frac{a", "Missing close brace"), (r"\smu x", "Undefined control sequence \\smu"), ("a", None)],
)
def test_a_formula_that_mathjax_rejects_is_told(tex, error):
    found = formulas.REJECTED.search(formulas.typeset(tex, False))
    assert (found and found[1]) == error


PAGE = r"""
Formulas
========

:math:`a` and :math:`\smu`

.. math:: b = c
"""


def test_a_page_has_its_formulas_and_a_wrong_one_is_told_with_its_place(tmp_path):
    (tmp_path / "index.rst").write_text(PAGE, encoding="utf-8")
    settings = {"extensions": ["moe_book.formulas"], "html_math_renderer": "typeset", "project": "p"}
    told = io.StringIO()
    with docutils_namespace():
        Sphinx(tmp_path, None, tmp_path / "html", tmp_path / "trees", "html", settings, None, told).build()
    (warning,) = [line for line in told.getvalue().splitlines() if "WARNING" in line]
    assert r"MathJax rejects '\\smu': Undefined control sequence" in warning and "index.rst:5" in warning
    page = BeautifulSoup((tmp_path / "html" / "index.html").read_text("utf-8"), "html.parser")
    assert len(page.select("span.math mjx-container > svg")) == 2
    assert len(page.select("div.math mjx-container > svg")) == 1


# --- Pages ------------------------------------------------------------------------------------------------------------


def test_stylesheets_become_one_in_their_order_and_find_what_they_refer_to(tmp_path):
    (tmp_path / "_static" / "styles").mkdir(parents=True)
    (tmp_path / "_static" / "a.css").write_text('a{b:url(a.png) url("data:x")}', encoding="utf-8")
    (tmp_path / "_static" / "styles" / "b.css").write_text("b{c:url(../d.png)}é", encoding="utf-8")
    lightness.join(tmp_path, ["_static/a.css", "_static/styles/b.css"])
    css = (tmp_path / lightness.JOINED).read_text(encoding="utf-8")
    assert css == 'a{b:url(../a.png) url("data:x")}\nb{c:url(../d.png)}é'


def lightened(folder: Path, html: str) -> str:
    (folder / "_images").mkdir(exist_ok=True)
    (folder / "page.html").write_text(html, "utf-8")
    lightness.lighten(folder / "page.html")
    return (folder / "page.html").read_text("utf-8")


def test_a_large_picture_gets_a_file_and_has_its_room(tmp_path):
    Image.effect_noise((60, 40), 99).save(buffer := io.BytesIO(), "PNG")
    others = '<img src="data:image/png;base64,AAAA"><img src="other.png">é'
    html = f'<img src="data:image/png;base64,{b64encode(buffer.getvalue()).decode()}">{others}'
    page = lightened(tmp_path, html)
    (name,) = re.findall(r'<img loading="lazy" decoding="async" width="60" height="40" src="_images/(.+?png)">', page)
    assert (tmp_path / "_images" / name).read_bytes() == buffer.getvalue()
    assert page.endswith(others)
    assert lightened(tmp_path, page) == page


def test_a_film_has_the_room_of_its_poster(tmp_path):
    (tmp_path / "_images").mkdir()
    Image.new("RGB", (64, 48)).save(tmp_path / "_images" / "p.png")
    page = '<video controls poster="_images/p.png"><source src="_images/f.mp4"></video>'
    assert lightened(tmp_path, page) == page.replace("<video", '<video width="64" height="48"')


@pytest.fixture(scope="module")
def built() -> dict[str, BeautifulSoup]:
    texts = {path.stem: path.read_text("utf-8") for path in sorted(HTML.glob("*.html"))}
    assert not [name for name, text in texts.items() if lightness.INLINE.search(text)]
    pages = {name: BeautifulSoup(text, "html.parser") for name, text in texts.items() if lightness.JOINED in text}
    assert len(pages) > 15, "there is no built book: run `make book` first"
    return pages


def test_pictures_of_the_book_wait_and_have_their_room(built):
    found = [tag for page in built.values() for tag in page.select("img[src^=_images], video")]
    assert len(found) > 50
    assert all(tag["width"].isdigit() and tag["height"].isdigit() for tag in found)
    assert all(tag["loading"] == "lazy" for tag in found if tag.name == "img")


def test_pages_load_one_stylesheet_and_no_script_before_their_text(built):
    for name, page in built.items():
        (sheet,) = [link["href"] for link in page.head.select("link[rel=stylesheet]")]
        assert sheet == lightness.JOINED, name
        scripts = [
            script["src"].partition("?")[0] for script in page.select("script[src]") if not script.has_attr("defer")
        ]
        own = [script for script in scripts if not script.startswith("playground")]
        assert own == ["_static/documentation_options.js"], name
        assert not re.search(r"thebe|fontawesome\.js|togglebutton\.|design", str(page.head)), name


def test_nothing_that_is_left_out_is_used(built):
    for name, page in built.items():
        assert not page.select("article .toggle, article .dropdown, article [class^=sd-], article .thebe"), name


def test_what_the_stylesheet_refers_to_is_there():
    css = (HTML / lightness.JOINED).read_text("utf-8")
    named = re.findall(r"url\([\"']?((?![\"']?data:)[^)\"']+)", css)
    assert named and not [name for name in named if not ((HTML / lightness.JOINED).parent / name).is_file()]
    assert "@import" not in css


@pytest.mark.browser
@pytest.mark.parametrize("night", [False, True])
def test_night_falls_before_anything_is_drawn(chromium, night):
    page = chromium.new_page(color_scheme="dark" if night else "light")
    page.route("**/pydata-sphinx-theme.js*", lambda route: route.abort())
    page.goto((HTML / "cite.html").as_uri())
    assert page.evaluate("document.documentElement.dataset.theme") == ("dark" if night else "light")
    page.context.close()


@pytest.mark.browser
def test_a_chapter_is_whole_without_javascript(chromium):
    page = chromium.new_page(java_script_enabled=False)
    page.goto((HTML / "01_cheating.html").as_uri())
    formulas = [formula.bounding_box() for formula in page.locator(".math mjx-container > svg:visible").all()]
    assert len(formulas) > 20 and all(box["height"] > 5 and box["width"] > 3 for box in formulas)
    assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    page.context.close()


@pytest.mark.browser
@pytest.mark.parametrize("night", [False, True])
def test_the_ink_of_a_diagram_follows_the_page(chromium, night):
    """By night too, where the reader has chosen it and the system has not."""
    page = chromium.new_page(color_scheme="light")
    page.goto((HTML / "cite.html").as_uri())
    page.evaluate("dark => { document.documentElement.dataset.theme = dark ? 'dark' : 'light'; }", night)
    page.evaluate(
        """src => { document.querySelector("article").innerHTML =
      `<div class="cell_output"><img src="${src}" style="width: 700px"></div>`; }""",
        (FOLDER / "tree-of-experts.svg").as_uri(),
    )
    picture = page.locator("article img")
    picture.evaluate("image => image.decode()")
    colours = Image.open(io.BytesIO(picture.screenshot())).convert("L").getcolors()
    darkest, brightest = min(colours, key=lambda c: c[1])[1], max(colours, key=lambda c: c[1])[1]
    paper = max(colours)[1]
    assert (paper < 60 and brightest > 180) if night else (paper > 230 and darkest < 110)
    page.context.close()

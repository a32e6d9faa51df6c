"""Pages that are light to load, formulas typeset, one small stylesheet, patient pictures; and look as they did."""

import io
import re
import xml.etree.ElementTree as ElementTree
from base64 import b64decode, b64encode

import formulas
import imageio_ffmpeg
import lean
import pytest
import stylesheets
import tinycss2
from bs4 import BeautifulSoup
from fontTools.ttLib import TTFont
from PIL import Image
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace
from test_site import HTML

SANS = next(formulas.MATHJAX.rglob("MathJax_SansSerif-Regular.woff"))


def shown(css: str, known: set[str]) -> str:
    return tinycss2.serialize(stylesheets.keep(stylesheets.parse(css), known))


# --- Stylesheets ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("css", "kept"),
    [
        ("p{a:1}", "p{a:1}"),
        (".here{a:1}.gone{a:1}", ".here{a:1}"),
        ("#here{a:1}#gone{a:1}", "#here{a:1}"),
        (".here.gone, .gone p, p > .gone{a:1}", ""),
        (".gone, .here{a:1}", " .here{a:1}"),
        (".here:not(.gone) p, :is(.gone, b){a:1}", ".here:not(.gone) p, :is(.gone, b){a:1}"),
        ("[class~=gone], p:hover{a:1}", "[class~=gone], p:hover{a:1}"),
        ("@media print{.here{a:1}.gone{a:1}}", "@media print{.here{a:1}}"),
        ("@media print{.gone{a:1}}@media (width > 1px){@supports (a: 1){.gone{a:1}}}", ""),
        (".w-1\\/2{a:1}", ".w-1\\/2{a:1}"),  # no word, so nobody knows
        ("@keyframes turn{from{a:1}}", "@keyframes turn{from{a:1}}"),
        ("/* a remark *//*! a licence */", "/*! a licence */"),
    ],
)
def test_a_rule_stays_if_a_page_may_need_it(css, kept):
    assert shown(css, {"here"}) == kept


def test_the_words_of_a_page_are_its_classes_and_more():
    page = "<p class='one two-3' id=four>five</p><script>node.classList.add('six_7')</script>"
    assert {"one", "two-3", "four", "six_7"} <= stylesheets.words(page)


def test_imports_are_followed(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "a.css").write_text('@import "../b.css";\n.a{x:1}')
    (tmp_path / "b.css").write_text(".b{x:1}")
    assert tinycss2.serialize(stylesheets.read(tmp_path / "deep" / "a.css")) == ".b{x:1}.a{x:1}"
    for beyond in ("@import url(b.css);", '@import "b.css" print;'):
        (tmp_path / "c.css").write_text(beyond)
        with pytest.raises(ValueError, match="@import"):
            list(stylesheets.read(tmp_path / "c.css"))


def test_a_faulty_stylesheet_is_refused():
    with pytest.raises(ValueError, match="line 2"):
        list(stylesheets.parse("p{a:1}\np"))


def fonts_in(css: str) -> list[TTFont]:
    return [TTFont(io.BytesIO(b64decode(data))) for data in re.findall(r"data:font/woff2;base64,([^\"]+)", css)]


def test_a_font_holds_the_signs_that_are_written():
    face = "@font-face{font-family: F; src: url(x/MathJax_SansSerif-Regular.woff) format('woff'), url(y.ttf)}"
    write = "p{font-family: F} b::before{content: 'x'} i::before{content: '\\3a9 y'} u::before{content: 'unlike'}"
    (font,) = fonts_in(stylesheets.embed(stylesheets.parse(face + write), formulas.MATHJAX))
    assert set(font.getBestCmap()) == {ord(sign) for sign in "xyΩ"}
    assert "Open Font License" in font["name"].getDebugName(13) and font["name"].getDebugName(1) is None
    assert len(stylesheets.subset(SANS, {"x", "y"})) < SANS.stat().st_size / 10
    for css in (face, face + "p{font-family: F}", face + "b::before{content: 'x'}"):  # no use, no sign, no mention
        assert not fonts_in(stylesheets.embed(stylesheets.parse(css), formulas.MATHJAX))


# --- Formulas ---------------------------------------------------------------------------------------------------------


def test_a_formula_is_html_and_mathml():
    html = formulas.typeset(r"\frac{a}{b}", False)
    assert "mjx-mfrac" in html
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

:math:`a` and :eq:`one` and :math:`\smu`

.. math:: b = c
   :label: one

.. math::

   d &= e \\
   f &= g
"""


def test_a_page_has_its_formulas_their_numbers_and_their_lines(tmp_path):
    (tmp_path / "index.rst").write_text(PAGE)
    settings = {"extensions": ["formulas"], "html_math_renderer": "formulas", "project": "p"}
    told = io.StringIO()
    with docutils_namespace():
        Sphinx(tmp_path, None, tmp_path / "html", tmp_path / "trees", "html", settings, None, told).build()
    (warning,) = [line for line in told.getvalue().splitlines() if "WARNING" in line]
    assert r"MathJax rejects '\\smu': Undefined control sequence" in warning and "index.rst:5" in warning
    page = BeautifulSoup((tmp_path / "html" / "index.html").read_text("utf-8"), "html.parser")
    assert len(page.select(".math mjx-container")) == 4
    assert page.select_one("#equation-one .eqno").get_text().startswith("(1)")
    assert len(page.select("mjx-mtable mjx-mtr")) == 2
    assert page.select_one('link[href^="_static/formulas.css?v="]')


def test_no_sign_of_a_formula_is_missing():
    css = (HTML / "_static" / formulas.STYLESHEET).read_text("utf-8")
    rules = (rule for rule in stylesheets.parse(css) if rule.type == "qualified-rule")
    strings = [token.value for rule in rules for token in rule.content if token.type == "string"]
    assert len(strings) > 80
    there = {sign for font in fonts_in(css) for sign in font.getBestCmap()}
    assert {sign for string in strings for sign in string if ord(sign) not in there} <= {" ", "\xa0"}
    used = {name for path in HTML.glob("*.html") for name in re.findall(r"\bmjx-c[0-9A-F]+", path.read_text("utf-8"))}
    assert len(used) > 80 and not [name for name in used if f".{name}" not in css]


# --- Pages ------------------------------------------------------------------------------------------------------------

LINKS = """<link rel="stylesheet" href="../_static/a.css?v=1"/> <link rel="icon" href="../i.svg">
<link rel="stylesheet" href="../_static/formulas.css?v=2"><link href="../_static/b.css" rel="stylesheet">
<link rel="stylesheet" href="https://a.example/c.css"><link rel="stylesheet" media="print" href="d.css">"""


def test_one_stylesheet_takes_the_place_of_the_others():
    one = lean.Stylesheet()
    head = BeautifulSoup(one.restyle("../_static/book.css", LINKS), "html.parser")
    kept = ["../i.svg", "../_static/formulas.css?v=2", "https://a.example/c.css", "d.css", "../_static/book.css"]
    assert [link["href"] for link in head.find_all("link")] == kept
    assert list(one.replaced) == ["_static/a.css", "_static/b.css"]
    assert one.restyle("book.css", "<title>none</title>") == "<title>none</title>"


def test_code_keeps_its_text():
    code = '<pre><span></span><b class="k">def</b><span class="w"> </span><span class="nn">f</span></pre>'
    assert lean.sparse(code) == '<pre><span></span><b class="k">def</b> f</pre>'
    word = '<code class="literal"><span class="pre">fit</span></code>'
    assert lean.sparse(word) == '<code class="literal pre">fit</code>'
    two = '<code class="literal"><span class="pre">a</span> <span class="pre">b</span></code>'
    for kept in (two, '<pre><span class="n"><i>x</i></span></pre>', '<span class="p">no code</span>'):
        assert lean.sparse(kept) == kept


@pytest.mark.browser
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_code_keeps_its_colours(chromium, mode):
    page = chromium.new_page(color_scheme=mode)
    page.goto((HTML / "01_cheating.html").as_uri())
    color = """name => {
      const code = document.querySelector(".highlight pre");
      code.insertAdjacentHTML("beforeend", `<span class="${name}">x</span>`);
      return [code, code.lastChild].map((node) => getComputedStyle(node).color);
    }"""
    for name in ("n", "nn", "p", "w"):
        code, word = page.evaluate(color, name)
        assert code == word, name
    code, word = page.evaluate(color, "k")
    assert code != word
    page.close()


def test_a_large_picture_gets_a_file_and_has_its_room(tmp_path):
    Image.effect_noise((60, 40), 99).save(buffer := io.BytesIO(), "PNG")
    inline = f'<img src="data:image/png;base64,{b64encode(buffer.getvalue()).decode()}">'
    for place, start in ((tmp_path, ""), (tmp_path / "deep", "../")):
        place.mkdir(exist_ok=True)
        page = lean.outside(inline, place, tmp_path / "_images")
        (source,) = re.findall(rf'src="({start}_images/[0-9a-f]+\.png)"', page)
        assert (place / source).read_bytes() == buffer.getvalue()
        page = lean.patient(page + '<img src="other.png">', place)
        assert re.findall(r'loading="lazy" decoding="async" width="60" height="40"', page) and page.count("width") == 1
        assert lean.patient(page, place) == page
    small = '<img src="data:image/png;base64,AAAA">'
    assert lean.outside(small, tmp_path, tmp_path) == small


def test_a_film_has_its_own_room_and_not_that_of_its_poster(tmp_path):
    (tmp_path / "_images").mkdir()
    film = imageio_ffmpeg.write_frames(tmp_path / "_images" / "f.mp4", (64, 48), quality=1)
    film.send(None)
    film.send(bytes(64 * 48 * 3))
    film.close()
    page = '<video controls poster="p.png"><source src="_images/f.mp4"></video>'
    assert lean.patient(page, tmp_path).startswith('<video width="64" height="48" controls')


def test_pictures_of_the_book_wait_and_have_their_room():
    texts = [path.read_text("utf-8") for path in HTML.glob("*.html")]
    found = [tag for text in texts for tag in BeautifulSoup(text, "html.parser").select("img[src^=_images], video")]
    assert len(found) > 50
    assert all(tag["width"].isdigit() and tag["height"].isdigit() for tag in found)
    assert all(tag["loading"] == "lazy" for tag in found if tag.name == "img")
    assert not any(lean.INLINE.search(text) for text in texts)


def test_what_stylesheets_refer_to_is_there():
    for path in (HTML / lean.STYLESHEET, HTML / "_static" / formulas.STYLESHEET):
        named = re.findall(r"url\(\"?((?!\"?data:)[^)\"]+)", path.read_text("utf-8"))
        assert not [name for name in named if not (path.parent / name).is_file()]


# What applies to anything in a page as it stands, hovered or not, must have come through: in the same order, and under
# the same conditions.
MISSING = r"""async ([whole, small]) => {
  const STATE = /::?(?:hover|active|visited|target|checked|disabled|focus[\w-]*)|::?(?:before|after|marker|-\w[\w-]*)/g;
  const atRest = (selector) => selector.replace(STATE, ":is(*)").replaceAll(":not(:is(*))", "");
  const split = (selectors) => selectors.split(/,(?![^(]*\))/).map((selector) => selector.trim());
  const flat = (rules, when = "") => [...rules].flatMap((rule) => [
    ...(rule.selectorText ? split(rule.selectorText) : []).map((selector) => [selector, when + rule.style.cssText]),
    ...flat(rule.cssRules ?? [], `${when}${rule.conditionText ?? ""} `),
  ]);
  const read = async (css) => flat((await new CSSStyleSheet().replace(css)).cssRules);
  const there = (await read(small)).map(String), needed = (await read(whole)).filter(([selector]) =>
    document.querySelector(atRest(selector)));
  let from = 0;
  const missing = needed.filter((rule) => {
    const at = there.indexOf(String(rule), from);
    if (at >= 0) from = at + 1;
    return at < 0;
  });
  return [needed.length, missing.map(([selector]) => selector)];
}"""


def originals(css: str) -> str:
    """The stylesheets that one was made of, after each other."""
    names = re.match(r"/\* Of (.*) \*/", css)[1].split(", ")
    assert len(names) > 5
    return tinycss2.serialize(rule for name in names for rule in stylesheets.read(HTML / name))


@pytest.mark.browser
def test_what_pages_need_is_in_the_small_stylesheet(chromium):
    small = (HTML / lean.STYLESHEET).read_text("utf-8")
    whole = originals(small)
    assert len(small) < len(whole) / 3
    page = chromium.new_page(viewport={"width": 390, "height": 844})
    for path in sorted(HTML.glob("*.html")):
        if lean.STYLESHEET in path.read_text("utf-8"):
            page.goto(path.as_uri())
            needed, missing = page.evaluate(MISSING, [whole, small])
            assert needed > 300 and not missing, f"{path.name}: {missing}"
    page.goto((HTML / "02_two_parabolas.html").as_uri())
    page.locator(".primary-toggle:visible").click()
    page.locator("dialog[open]").wait_for()
    assert not page.evaluate(MISSING, [whole, small])[1]
    a, b, print_only = "p{top:0}", "p:hover > code{top:1px}", "@media print{p{top:0}}"
    for other, lost in ((b, ["p"]), (a, ["p:hover > code"]), (b + a, ["p:hover > code"]), (print_only + b, ["p"])):
        assert page.evaluate(MISSING, [a + b, other])[1] == lost
    page.close()


@pytest.mark.browser
@pytest.mark.parametrize("night", [False, True])
def test_night_falls_before_anything_is_drawn(chromium, night):
    page = chromium.new_page(color_scheme="dark" if night else "light")
    page.route("**/pydata-sphinx-theme.js*", lambda route: route.abort())
    page.goto((HTML / "cite.html").as_uri())
    assert page.evaluate("document.documentElement.dataset.theme") == ("dark" if night else "light")
    page.close()


@pytest.mark.browser
def test_a_chapter_is_whole_without_javascript(chromium):
    page = chromium.new_page(java_script_enabled=False)
    page.goto((HTML / "01_cheating.html").as_uri())
    assert all(formula.bounding_box()["height"] > 5 for formula in page.locator(".math mjx-math:visible").all())
    assert page.locator(".math mjx-math:visible").count() > 20
    assert page.evaluate("[...document.images].every((image) => image.complete && image.naturalWidth > 0)")
    page.close()

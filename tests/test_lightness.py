"""Pages that are light to load, formulas typeset, one small stylesheet, patient pictures; and look as they did."""

import io
import re
import xml.etree.ElementTree as ElementTree
from base64 import b64decode, b64encode

import formulas
import freshness
import lean
import pytest
import stylesheets
import tinycss2
from bs4 import BeautifulSoup
from fontTools.ttLib import TTFont
from PIL import Image

HTML = freshness.BOOK / "_build" / "html"
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


def test_a_formula_that_mathjax_rejects_is_told():
    assert "Missing close brace" in formulas.REJECTED.search(formulas.typeset(r"\frac{a", False))[1]
    assert formulas.REJECTED.search(formulas.typeset(r"\frac{a}{b}", False)) is None


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


def test_code_keeps_its_text_and_its_colours():
    code = '<span></span><span class="k">def</span><span class="w"> </span><span class="nn">f</span><b class="n">x</b>'
    assert lean.sparse(code) == '<span></span><span class="k">def</span> f<b class="n">x</b>'
    word = '<code class="literal"><span class="pre">fit</span></code>'
    assert lean.sparse(word) == '<code class="literal pre">fit</code>'
    two = '<code class="literal"><span class="pre">a</span> <span class="pre">b</span></code>'
    for kept in (two, '<span class="n"><i>x</i></span>'):
        assert lean.sparse(kept) == kept


def test_a_large_picture_gets_a_file_and_has_its_room(tmp_path):
    (tmp_path / "_images").mkdir()
    noise = Image.effect_noise((60, 40), 99)
    noise.save(path := tmp_path / "_images" / "noise.png")
    noise.save(buffer := io.BytesIO(), "PNG")
    data = b64encode(buffer.getvalue()).decode()
    page = f'<img src="data:image/png;base64,{data}"><video poster="_images/noise.png"></video><img src="other.png">'
    made = lean.outside(page, tmp_path)
    assert "data:" not in made and (tmp_path / re.search(r'src="([^"]+)"', made)[1]).read_bytes() == buffer.getvalue()
    made = lean.patient(made, tmp_path)
    assert made.count('width="60" height="40"') == 2 and made.count('loading="lazy"') == 1
    assert lean.patient(made, tmp_path) == made and path.exists()
    small = '<img src="data:image/png;base64,AAAA">'
    assert lean.outside(small, tmp_path) == small


def test_pictures_of_the_book_wait_and_have_their_room():
    texts = [path.read_text("utf-8") for path in HTML.glob("*.html")]
    found = [tag for text in texts for tag in BeautifulSoup(text, "html.parser").select("img[src^=_images], [poster]")]
    assert len(found) > 50
    assert all(tag.has_attr("width") and tag.has_attr("height") for tag in found)
    assert all(tag["loading"] == "lazy" for tag in found if tag.name == "img")
    assert not any(lean.INLINE.search(text) for text in texts)


# What applies to anything in a page as it stands, hovered or not, must have come through.
MISSING = r"""async ([whole, small]) => {
  const STATE = /::?(?:hover|active|visited|target|checked|disabled|focus[\w-]*)|::?(?:before|after|marker|-\w[\w-]*)/g;
  const all = (rules) => [...rules].flatMap((rule) => [rule, ...all(rule.cssRules ?? [])]).filter((rule) => rule.style);
  const selectors = (rule) => (rule.selectorText ?? "").split(/,(?![^(]*\))/).map((selector) => selector.trim());
  const read = async (css) => all((await new CSSStyleSheet().replace(css)).cssRules).flatMap((rule) =>
    selectors(rule).filter(Boolean).map((selector) => ({ selector, said: selector + rule.style.cssText })));
  const atRest = (selector) => selector.replace(STATE, ":is(*)").replaceAll(":not(:is(*))", "");
  const asked = ({ selector }) => document.querySelector(atRest(selector));
  const there = new Set((await read(small)).map(({ said }) => said));
  const needed = (await read(whole)).filter(asked);
  return [needed.length, needed.filter(({ said }) => !there.has(said)).map(({ selector }) => selector)];
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
    assert page.evaluate(MISSING, [whole + "p:hover > code{color:red}", small])[1] == ["p:hover > code"]
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

"""The built book, as a reader gets it: links, text alternatives, math, small screens, dark mode, and no network.

Each check is a function from pages to a list of what is wrong with them, so that the last tests can show it a broken
page: a check that cannot fail would be worth nothing.
"""

import base64
import io
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from bs4 import BeautifulSoup
from PIL import Image
from visits import BOOK, DESKTOP, HTML, PHONE, Visit, look_at, recorded_page

pytestmark = pytest.mark.built


@dataclass
class Page:
    """One built page, parsed."""

    path: Path
    soup: BeautifulSoup = field(repr=False)

    @classmethod
    def read(cls, path: Path) -> "Page":
        return cls(path, BeautifulSoup(path.read_text("utf-8"), "html.parser"))

    @property
    def ids(self) -> set[str]:
        return {tag[key] for key in ("id", "name") for tag in self.soup.find_all(attrs={key: True})}


@pytest.fixture(scope="module")
def pages() -> list[Page]:
    if not (HTML / "index.html").is_file():
        pytest.fail("there is no built book: run `make book` first")
    return [Page.read(path) for path in sorted(HTML.rglob("*.html")) if "_static" not in path.parts]


# --- What the files say ---------------------------------------------------------------------------------------------


def addresses(page: Page) -> Iterable[tuple[str, str]]:
    """Each (attribute, address) of a page, those of srcset one by one."""
    for tag in page.soup.find_all(True):
        for key in ("href", "src", "poster", "data"):
            if isinstance(tag.get(key), str):
                yield key, tag[key].strip()
        if tag.name == "meta" and str(tag.get("http-equiv")).lower() == "refresh":
            yield "href", tag["content"].partition("url=")[2].strip()
        for candidate in tag.get("srcset", "").split(","):
            if candidate.strip():
                yield "srcset", candidate.split()[0]


def broken_links(pages: list[Page]) -> list[str]:
    """Internal links, anchors and sources that lead nowhere."""
    ids = {page.path: page.ids for page in pages}
    wrong = []
    for page in pages:
        for key, address in addresses(page):
            url = urlsplit(address)
            if url.scheme or url.netloc or address == "#":
                continue
            target = (page.path.parent / unquote(url.path)).resolve() if url.path else page.path
            if not target.exists():
                wrong.append(f"{page.path.name}: {key}={address!r} does not exist")
            elif key == "href" and url.fragment and target.suffix == ".html":
                if target not in ids:
                    ids[target] = Page.read(target).ids
                if unquote(url.fragment) not in ids[target]:
                    wrong.append(f"{page.path.name}: {address!r} has no such anchor")
    return wrong


def missing_alternatives(pages: list[Page]) -> list[str]:
    """Pictures and films that a reader who cannot see them learns nothing about."""
    wrong = []
    for page in pages:
        for tag in page.soup.find_all(["img", "video"]):
            if tag.get("role") == "presentation" or tag.get("aria-hidden") == "true":
                continue
            text = (tag.get("alt") if tag.name == "img" else tag.get("aria-label") or tag.get("title")) or ""
            if len(text.strip()) < 3 or re.search(r"_images/|\.(png|jpe?g|gif|svg|webp|mp4)$", text.strip()):
                wrong.append(f"{page.path.name}: <{tag.name} src={str(tag.get('src'))[:60]!r}> says only {text!r}")
    return wrong


def remote_parts(pages: list[Page]) -> list[str]:
    """Scripts, styles, pictures, films, fonts and frames that a page would fetch from another host."""
    remote = re.compile(r"^\s*(https?:)?//", re.IGNORECASE)
    in_css = re.compile(r"""(?:url\(\s*["']?|@import\s+["'])((?:https?:)?//[^"')\s]+)""", re.IGNORECASE)
    only_named = {"canonical", "next", "prev", "index", "search", "author", "license", "alternate", "help"}
    wrong, sheets = [], set()
    for page in pages:
        wrong += [
            f"{page.path.name}: {key}={url!r}" for key, url in addresses(page) if key != "href" and remote.match(url)
        ]
        for tag in page.soup.find_all("link", href=True):
            rel = set(tag.get("rel") or [])
            if remote.match(tag["href"]) and not rel <= only_named:
                wrong.append(f"{page.path.name}: <link rel={' '.join(rel)} href={tag['href']!r}>")
            elif "stylesheet" in rel:
                sheets.add((page.path.parent / urlsplit(tag["href"]).path).resolve())
        styles = [tag.get_text() for tag in page.soup.find_all("style")]
        styles += [tag["style"] for tag in page.soup.find_all(style=True)]
        wrong += [f"{page.path.name}: style with {url}" for style in styles for url in in_css.findall(style)]
    for sheet in sorted(sheets):
        if sheet.is_file():
            wrong += [f"{sheet.name}: {url}" for url in in_css.findall(sheet.read_text("utf-8"))]
    return wrong


def test_links_lead_somewhere(pages):
    assert not (wrong := broken_links(pages)), "\n".join(wrong)


def test_pictures_have_a_text_alternative(pages):
    assert not (wrong := missing_alternatives(pages)), "\n".join(wrong)


def test_nothing_is_fetched_from_another_host(pages):
    assert not (wrong := remote_parts(pages)), "\n".join(wrong)


# --- What a browser shows, from file:// -----------------------------------------------------------------------------


def requests(visits: list[Visit]) -> list[str]:
    return [f"{visit.name} asks {url}" for visit in visits for url in visit.requests]


def console_errors(visits: list[Visit]) -> list[str]:
    return [f"{visit.name}: {error}" for visit in visits for error in visit.errors]


def raw_math(visits: list[Visit]) -> list[str]:
    wrong = [f"{visit.name}: {text!r} is not typeset" for visit in visits for text in visit.raw_tex]
    wrong += [f"{visit.name}: MathJax rejects {text!r}" for visit in visits for text in visit.math_errors]
    return wrong + [
        f"{visit.name}: {visit.typeset} of {visit.formulas} formulas typeset"
        for visit in visits
        if visit.typeset < visit.formulas
    ]


def overflows(visits: list[Visit]) -> list[str]:
    return [
        f"{visit.name} is {width} px wide on a phone of {PHONE['width']}, {mode}"
        for visit in visits
        for mode, width in visit.width.items()
        if width > PHONE["width"]
    ]


def distorted_figures(visits: list[Visit]) -> list[str]:
    return [f"{visit.name}: {src} is squeezed on a phone" for visit in visits for src in visit.distorted]


def whole_fonts(visits: list[Visit]) -> list[str]:
    return [f"{visit.name} loads all of {family}" for visit in visits for family in visit.whole_fonts]


def light_cards(visits: list[Visit]) -> list[str]:
    return [f"{visit.name}: {src} is a light card in dark mode" for visit in visits for src in visit.cards]


def unshown_ends(visits: list[Visit]) -> list[str]:
    return [f"{visit.name}, {box}: nothing shows that there is more" for visit in visits for box in visit.unshown]


def crowded_titles(visits: list[Visit]) -> list[str]:
    return [
        f"{visit.name}, {screen}: {gap:.0f} px between toolbar and title"
        for visit in visits
        for screen, gap in visit.gaps.items()
        if gap < 4
    ]


CHECKS = (
    requests,
    console_errors,
    raw_math,
    overflows,
    distorted_figures,
    light_cards,
    whole_fonts,
    unshown_ends,
    crowded_titles,
)


@pytest.mark.browser
@pytest.mark.parametrize("check", CHECKS)
def test_in_a_browser(visits, check):
    assert not (wrong := check(visits)), "\n".join(wrong)


@pytest.mark.browser
def test_some_page_has_math(visits):
    assert sum(visit.typeset for visit in visits) > 0


@pytest.mark.browser
def test_the_switch_turns_the_book_dark(pages, chromium):
    visit = Visit("intro.html")
    page = recorded_page(chromium, visit, viewport=DESKTOP, color_scheme="light")
    page.goto((HTML / "intro.html").as_uri())
    brightness = "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).slice(0, 3).reduce((a, b) => +a + +b)"
    assert page.evaluate(brightness) > 600
    for _ in range(3):  # the switch goes round: as the system, light, dark
        if page.evaluate("document.documentElement.dataset.mode") == "dark":
            break
        page.locator(".theme-switch-button:visible").first.click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate(brightness) < 150
    page.context.close()


@pytest.mark.browser
@pytest.mark.parametrize("name", [path.stem for path in sorted(BOOK.glob("*.ipynb"))])
def test_a_figure_is_dark_by_night(pages, chromium, name):
    page = recorded_page(chromium, Visit(name), viewport=DESKTOP, color_scheme="dark")
    page.goto((HTML / f"{name}.html").as_uri())
    figure = page.locator(".bd-article :is(.cell_output, figure) img").first
    figure.scroll_into_view_if_needed()
    page.wait_for_function("picture => picture.complete && picture.naturalWidth > 0", arg=figure.element_handle())
    shot = np.asarray(Image.open(io.BytesIO(figure.screenshot())).convert("L"))
    edges = [shot[:3], shot[-3:], shot[:, :3], shot[:, -3:]]  # where there is nothing but paper
    paper, ink = np.median(np.concatenate([edge.ravel() for edge in edges])), np.percentile(shot, 99)
    assert paper < 60 and ink > 120, f"paper {paper}, ink {ink}: a light card, or nothing to be seen"
    page.context.close()


# --- The checks can fail --------------------------------------------------------------------------------------------

BROKEN = """<!doctype html><html data-theme="light"><body class="bd-article">
<link rel="stylesheet" href="https://fonts.example/css"><link rel="canonical" href="https://book.example/">
<style>body { background: url(https://images.example/paper.png); font-family: Whole }
@font-face { font-family: Whole; src: url(FONT) }</style>
<script src="https://cdn.example/mathjax.js"></script>
<a href="nowhere.html">a</a> <a href="#nothing">b</a> <a href="broken.html#here">fine</a> <a href="https://a.example">fine</a>
<div class="bd-header-article">Toolbar</div><h1 id="here" style="margin: 0; line-height: 1">Broken</h1>
<meta http-equiv="Refresh" content="9; url=gone.html">
<img src="_images/0a1b.png" alt="_images/0a1b.png"> <img src="logo.png"> <video src="film.mp4"></video>
<p>A formula \\(x^2\\) stays raw, <code>\\(y\\)</code> may.</p> <span class="math">\\(z\\)</span>
<div class="cell_output"><img style="width: 30px; height: 9px" alt="a dot, squeezed"
src="data:image/gif;base64,R0lGODlhAQABAAAAACH5BAEKAAEALAAAAAABAAEAAAICTAEAOw=="></div>
<div style="width: 600px">wide</div><pre style="overflow: auto; width: 3em">no sign of its end</pre>
<span class="math" style="display: inline-block; width: 9px; overflow: hidden">
<mjx-container><svg width="50" /></mjx-container></span>
<script>console.error("oops"); window.MathJax = {startup: {promise: Promise.resolve()}}; undefined.boom</script>
</body></html>"""


ICONS = HTML.parents[1] / "_static" / "icons.css"


@pytest.fixture
def broken(tmp_path) -> Page:
    path = tmp_path / "broken.html"
    font = base64.b64decode(re.search(r"font/woff2;base64,([^\"]+)", ICONS.read_text("utf-8"))[1])
    (tmp_path / "whole.woff2").write_bytes(font)
    path.write_text(BROKEN.replace("FONT", "whole.woff2"), encoding="utf-8")
    return Page.read(path)


def test_broken_links_are_found(broken):
    assert {re.search(r"'(.*?)'", line)[1] for line in broken_links([broken])} == {
        "gone.html",
        "nowhere.html",
        "#nothing",
        "_images/0a1b.png",
        "logo.png",
        "film.mp4",
    }


def test_missing_alternatives_are_found(broken):
    assert len(missing_alternatives([broken])) == 3


def test_remote_parts_are_found(broken):
    assert sorted(re.findall(r"//([a-z]+)\.example", " ".join(remote_parts([broken])))) == ["cdn", "fonts", "images"]


@pytest.mark.browser
def test_what_a_browser_sees_of_a_broken_page_is_found(broken, chromium):
    (visit,) = look_at(chromium, [broken.path])
    assert {urlsplit(url).hostname for url in visit.requests} >= {"cdn.example", "fonts.example", "images.example"}
    assert any("oops" in line for line in console_errors([visit]))
    assert any("boom" in line for line in console_errors([visit]))
    assert len(raw_math([visit])) == 3  # two in the text, one of one formulas not typeset
    assert len(overflows([visit])) == 2
    assert len(unshown_ends([visit])) == 4  # two boxes on two screens
    assert len(crowded_titles([visit])) == 2
    assert len(distorted_figures([visit])) == 1
    assert len(light_cards([visit])) == 1
    assert whole_fonts([visit]) == ["broken.html loads all of Whole"]

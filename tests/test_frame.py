"""What frames the text of the built book: descriptions, cards, dead ends, citation, changes, times, tables, toolbar."""

import pickle
import re
from functools import cache

import address
import browser
import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from docutils import nodes
from moe_book import pages
from PIL import Image
from pybtex.database import BibliographyData, parse_file, parse_string
from visits import BOOK, DESKTOP, HTML, PATIENCE, PHONE, ROOT

pytestmark = pytest.mark.built
CONFIG = yaml.safe_load((BOOK / "_config.yml").read_text("utf-8"))
BASE = CONFIG["html"]["baseurl"]
CONTENTS = re.findall(r"(?:file|root): (\w+)", (BOOK / "_toc.yml").read_text("utf-8"))


@cache
def read(name: str) -> BeautifulSoup:
    path = HTML / f"{name}.html"
    assert path.is_file(), "there is no built book: run `make book` first"
    return BeautifulSoup(path.read_text("utf-8"), "html.parser")


def meta(name: str) -> dict[str, str]:
    return {tag.get("name") or tag.get("property"): tag.get("content") for tag in read(name).find_all("meta")}


# --- Found, shared, lost ----------------------------------------------------------------------------------------------


def test_the_public_address_is_the_repositorys():
    assert "https://{}.github.io/{}/".format(*address.current()) == BASE


def test_pages_say_what_they_are():
    for name in CONTENTS:
        found = meta(name)
        assert 50 < len(found["description"]) <= pages.LONGEST + 2, name
        assert found["og:description"] == found["description"], name
        assert found["og:url"] == f"{BASE}{name}.html" == read(name).find("link", rel="canonical")["href"], name
        assert found["og:title"] in read(name).title.get_text(), name
        assert found["og:image"] == f"{BASE}_static/card.png", name
        assert found["twitter:card"] == "summary_large_image", name


def test_no_two_descriptions_are_alike():
    found = [meta(name)["description"] for name in [*CONTENTS, "genindex", "search", "404"]]
    assert len(set(found)) == len(found)


def test_the_card_is_of_the_size_that_it_is_said_to_have():
    card = HTML / "_static" / "card.png"
    found = meta("intro")
    assert Image.open(card).size == (int(found["og:image:width"]), int(found["og:image:height"])) == (1200, 630)
    assert card.stat().st_size < 60_000


def test_the_sitemap_lists_every_page():
    listed = re.findall(r"<loc>(.*?)</loc>", (HTML / "sitemap.xml").read_text("utf-8"))
    assert sorted(listed) == sorted(f"{BASE}{name}.html" for name in CONTENTS)


def test_a_dead_end_leads_back_from_any_depth():
    links = [link["href"] for link in read("404").find_all("a", href=True)]
    assert links
    assert all(link.startswith(BASE) and (HTML / link.removeprefix(BASE)).is_file() for link in links)
    assert not read("404").find_all(src=True)


# --- Cited, corrected -------------------------------------------------------------------------------------------------


def shown() -> BibliographyData:
    blocks = [block.get_text() for block in read("cite").select("div.highlight pre")]
    return parse_string("\n".join(blocks), "bibtex")


def test_the_citation_is_that_of_the_citation_file():
    cff = yaml.safe_load((ROOT / "CITATION.cff").read_text("utf-8"))
    entry = shown().entries["moe_vae_book"]
    plain = {key: value.strip("{}") for key, value in entry.fields.items()}
    assert [str(person).strip("{}") for person in entry.persons["author"]] == [a["name"] for a in cff["authors"]]
    assert plain["title"] == cff["title"] == CONFIG["title"]
    assert (plain["version"], plain["url"]) == (cff["version"], cff["repository-code"])
    assert plain["year"] == CONFIG["copyright"]


def test_the_citation_of_the_post_is_that_of_the_references():
    ours, theirs = (data.entries["zeldes2019"] for data in (shown(), parse_file(BOOK / "references.bib")))
    assert {key: theirs.fields[key] for key in ours.fields} == dict(ours.fields)


def test_every_reference_leads_to_its_source():
    entries = parse_file(BOOK / "references.bib").entries
    cited = read("references").select("div.citation")
    assert len(cited) == len(entries)
    assert [entry.get_text() for entry in cited if not entry.select("a.external[href^=https]")] == []
    links = {link["href"] for link in read("references").select("div.citation a")}
    for key, entry in entries.items():
        doi, arxiv = entry.fields.get("doi"), entry.fields.get("eprint")
        where = f"https://doi.org/{doi}" if doi else f"https://arxiv.org/abs/{arxiv}" if arxiv else entry.fields["url"]
        assert where in links, key


def test_the_changes_are_those_of_the_changelog():
    page = " ".join(read("changes").select_one("article").get_text().split())
    versions = re.findall(r"(?m)^## (.*)$", (ROOT / "CHANGELOG.md").read_text("utf-8"))
    assert versions
    assert all(version in page for version in versions)
    assert "Keep a Changelog" not in page
    owner, name = address.current()
    assert read("changes").select_one(f"a[href='https://github.com/{owner}/{name}/issues/new/choose']")


def test_what_teachers_are_sent_to_exists():
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", (BOOK / "teaching.md").read_text("utf-8"))  # links are their words
    chapters = {path.stem[:2]: nbformat.read(path, as_version=4) for path in BOOK.glob("0*.ipynb")}
    prose = {number: "\n".join(cell.source for cell in book.cells) for number, book in chapters.items()}
    named = re.findall(r"[Cc]hapter (\d), \*([^*]+)\*", text)
    assert len(named) >= 2
    assert [heading for number, heading in named if f"## {heading}\n" not in prose[f"0{number}"] + "\n"] == []
    exercises = re.findall(r"exercises? (\d)(?: and (\d))? of chapter (\d)", text)
    exercises += [(a, b, n) for n, a, b in re.findall(r"[Cc]hapter (\d), exercises? (\d)(?: and (\d))?", text)]
    assert len(exercises) >= 4
    for *asked, number in exercises:
        assert all(f"**{number}.{exercise}**" in prose[f"0{number}"] for exercise in asked if exercise)


# --- How long it takes ------------------------------------------------------------------------------------------------


def reading_minutes(doctree: nodes.document) -> float:
    """Minutes to read a page: 200 words, without code and tables, two figures, or three displayed formulas a minute."""

    def inside(node: nodes.Node) -> bool:
        return node.parent and (isinstance(node.parent, nodes.literal_block | nodes.table) or inside(node.parent))

    words = sum(len(node.astext().split()) for node in doctree.findall(nodes.paragraph) if not inside(node))
    figures, formulas = len(list(doctree.findall(nodes.image))), len(list(doctree.findall(nodes.math_block)))
    return words / 200 + figures / 2 + formulas / 3


def test_chapters_say_how_long_they_take():
    for path in sorted(BOOK.glob("[0-9]*.ipynb")):
        first_page = read(path.stem).select_one("article section").get_text()[:2500]
        said = re.search(r"Reading time about (\d+) minutes; the running time is at the end", first_page)
        assert said, f"{path.stem}: not said, or not at the top"
        doctree = pickle.loads((BOOK / "_build" / ".doctrees" / f"{path.stem}.doctree").read_bytes())
        assert 0.6 < int(said[1]) / reading_minutes(doctree) < 1.4, path.stem


# --- Read by machines ------------------------------------------------------------------------------------------------


def test_only_what_screen_readers_stumble_over_is_mended():
    _, (corner, cell), (role, listed) = pages.MENDED
    assert corner.sub(cell, '<th class="head"><p></p></th><th> </th>') == "<td></td>" * 2
    assert corner.sub(cell, heading := '<th class="head"><p>w</p></th>') == heading
    assert role.sub(listed, '<div role="doc-biblioentry">') == '<div role="listitem">'


# --- Tables -----------------------------------------------------------------------------------------------------------


def columns(name: str) -> list[list]:
    """The cells of each column below its heading, of all tables of a page but its index of names."""
    tables = read(name).select("article table.table")
    return [list(column) for table in tables for column in zip(*(row("td") for row in table.select("tbody tr")))]  # noqa: B905


def test_numbers_are_at_the_right_and_words_at_the_left():
    counted = {True: 0, False: 0}
    for page, column in [(name, column) for name in CONTENTS for column in columns(name)]:
        texts = [text for cell in column if (text := cell.get_text(strip=True))]
        at_the_right = {"text-right" in cell.get("class", []) for cell in column}
        if texts and all(re.fullmatch(r"[-+]?[\d.,]+%?( ± [\d.]+%?)?", text) for text in texts):
            assert at_the_right == {True}, (page, texts)
            counted[True] += 1
        elif not any(re.search(r"\d", text) for text in texts):
            assert at_the_right == {False}, (page, texts)
            counted[False] += 1
    assert min(counted.values()) > 30


NUMBERS = "0.7", "-0.00", "1,150", "63.0% ± 6.0%", "64.3% (n = 3)", "5 of 10", "53 to 55", "0.9 nats", "1.907e-06"
WORDS = "4s", "2 VAEs", "at most 4", "9, taken for 3", "", "–"


def test_what_a_number_is():
    assert [text for text in NUMBERS + WORDS if pages.NUMBER.fullmatch(text)] == list(NUMBERS)


# --- The toolbar ------------------------------------------------------------------------------------------------------

NAMES = ["Contents of the book", "Run this page", "On GitHub", "Download this page", "Fullscreen mode", "Light or dark"]
ON_A_PHONE = ["Search", "Contents of this page"]


@pytest.mark.browser
@pytest.mark.parametrize(("screen", "names"), [(DESKTOP, NAMES), (PHONE, NAMES + ON_A_PHONE)], ids=["desktop", "phone"])
def test_every_button_of_the_toolbar_shows_its_name(open_built, screen, names):
    page = open_built(HTML / "06_fast.html", viewport=screen)
    buttons = page.locator(".bd-header-article button:not(.dropdown-item):visible")
    assert buttons.count() == len(names)
    for button, name in zip(buttons.all(), names, strict=True):
        assert page.get_by_role("button", name=name, exact=True).count() >= 1, "for screen readers"
        button.hover()
        page.locator(".tooltip-inner, .dropdown-header").get_by_text(name, exact=True).wait_for()
        page.mouse.move(5, 400)


@pytest.mark.browser
@pytest.mark.parametrize("mode", ["light", "dark"])
def test_back_to_top_is_in_the_colours_of_the_book(open_built, mode):
    page = open_built(HTML / "cite.html", color_scheme=mode)
    paint = """button => {
      const primary = document.createElement("i");
      primary.style.color = "var(--pst-color-primary)";
      document.body.append(primary);
      return [getComputedStyle(button).backgroundColor, getComputedStyle(primary).color];
    }"""
    button, primary = page.locator("#pst-back-to-top").evaluate(paint)
    assert button == primary


# --- On paper ---------------------------------------------------------------------------------------------------------

THEME_OF_PAPER = """() => addEventListener("beforeprint", () => {
  window.theme = document.documentElement.dataset.theme;
})"""


@pytest.mark.browser
def test_a_printed_page_is_whole(chromium):
    page = chromium.new_page(color_scheme="dark")
    page.set_default_timeout(PATIENCE)
    page.goto((HTML / "03_kmeans.html").as_uri())
    browser.settle(page)
    page.evaluate(THEME_OF_PAPER)
    page.pdf()
    assert page.evaluate("window.theme") == "light"
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    folded = page.locator("details:not([open]) > :not(summary)")
    assert not any(part.is_visible() for part in folded.all())
    page.emulate_media(media="print")
    assert folded.count() > 10 and all(part.bounding_box()["height"] > 5 for part in folded.all())
    for to_be_clicked in ("#pst-primary-sidebar", "button", ".headerlink", ".bd-article a[href*='colab.research']"):
        assert not [part for part in page.locator(to_be_clicked).all() if part.is_visible()], to_be_clicked
    page.context.close()

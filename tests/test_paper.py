"""The book on paper: every chapter is in its outline, every link leads somewhere, nothing is asked of the network."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import paper
import pikepdf
import pytest
from bs4 import BeautifulSoup
from visits import HTML, PATIENCE, Visit, recorded_page

pytestmark = [pytest.mark.browser, pytest.mark.built]


@dataclass
class Printed:
    """A printed book: the page that it was made from, what a browser saw of it, and the PDF."""

    html: str = field(repr=False)
    visit: Visit
    pointers: list[list[str]]  # of every number of a page: where it leads, and what it says
    pdf: pikepdf.Pdf

    @property
    def links(self) -> list[pikepdf.Object]:
        return [note for page in self.pdf.pages for note in page.get("/Annots", []) if note.Subtype == "/Link"]

    @property
    def places(self) -> dict[str, int]:
        """The page, from 1, of everything that a link leads to."""
        numbers = {page.objgen: i for i, page in enumerate(self.pdf.pages, 1)}
        return {name[1:]: numbers[place[0].objgen] for name, place in self.pdf.Root.Dests.items()}


@pytest.fixture(scope="module")
def printed(chromium, tmp_path_factory) -> Printed:
    if not (HTML / "index.html").is_file():
        pytest.fail("there is no built book: run `make book` first")
    html, visit = paper.compose(paper.playgrounds(chromium)), Visit("paper.html")
    source, file = paper.BUILD / visit.name, tmp_path_factory.mktemp("paper") / "book.pdf"
    source.write_text(html, "utf-8")
    page = recorded_page(chromium, visit)
    page.set_default_timeout(PATIENCE)
    page.goto(source.as_uri())
    paper.print_book(page, file)
    find = "numbers => numbers.map((number) => [number.parentElement.hash.slice(1), number.textContent])"
    pointers = page.locator("a > .number").evaluate_all(find)
    page.context.close()
    with pikepdf.open(file) as pdf:
        yield Printed(html, visit, pointers, pdf)


def test_printing_asks_the_network_for_nothing(printed):
    assert printed.visit.requests == [] and printed.visit.errors == []


def test_it_is_a_book_of_a_handy_size(printed):
    assert 150 < len(printed.pdf.pages) < 500
    assert {tuple(map(round, page.mediabox[2:])) for page in printed.pdf.pages} == {(595, 842)}  # A4
    assert str(printed.pdf.docinfo["/Title"]) == paper.CONFIG["title"]
    assert str(printed.pdf.docinfo["/Author"]) == paper.CONFIG["author"]
    assert Path(printed.pdf.filename).stat().st_size < 12_000_000


def test_the_outline_has_every_chapter_and_its_sections(printed):
    with printed.pdf.open_outline() as outline:
        chapters = {item.title: [section.title for section in item.children] for item in outline.root}
    pages = [BeautifulSoup((HTML / f"{name}.html").read_text("utf-8"), "html.parser") for name in paper.NAMES]
    titles = [[h.get_text().removesuffix("#") for h in page.select("article :is(h1, h2)")] for page in pages]
    titles[0][0] = "Introduction"
    assert list(chapters) == [title for title, *_ in titles]
    for title, *sections in titles:
        assert chapters[title] == sections, title


def test_every_link_leads_somewhere(printed):
    inside = set(re.findall('href="#([^"]+)"', printed.html))
    ids = re.findall(' id="([^"]+)"', printed.html)
    assert len(inside) > 300 and inside <= set(ids)
    assert len(ids) == len(set(ids))
    named = [str(link.Dest)[1:] for link in printed.links if "/Dest" in link]
    assert set(named) == inside == set(printed.places)
    outside = [str(link.A.URI) for link in printed.links if "/Dest" not in link]
    assert outside and all(re.match("https?://", address) for address in outside)


def test_page_numbers_are_right(printed):
    assert len(printed.pointers) > 200
    assert [(name, int(number)) for name, number in printed.pointers] == [
        (name, printed.places[name]) for name, _ in printed.pointers
    ]
    starts = [printed.places[name] for name in paper.NAMES]
    assert starts == sorted(set(starts))


def test_solutions_come_after_all_questions_of_their_chapter(printed):
    questions = {name: place for name, place in printed.places.items() if "--asked-" in name}
    assert len(questions) > 30
    for name, place in questions.items():
        assert place <= printed.places[name.replace("asked", "answer")]


def test_formulas_and_figures_are_there_and_have_words(printed):
    things = [thing for thing in printed.pdf.objects if isinstance(thing, pikepdf.Dictionary)]
    words = [str(thing.Alt) for thing in things if "/Alt" in thing]
    assert len(words) > 600
    assert any(text.startswith("reconstruction=∑") for text in words)
    assert any(text.startswith("Two rows of ten handwritten digits") for text in words)

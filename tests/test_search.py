"""The search of the built book: queries, and the page that each should find first, without a server."""

import re

import pytest
from visits import HTML, PHONE, Visit, recorded_page

pytestmark = [pytest.mark.built, pytest.mark.browser]

WANTED = {  # query → the page that one wants, and how far down it may be
    "collapse": ("04_degenerate_manager", 1),
    "DDP": ("06_fast", 1),
    "deskewing": ("08_ladder", 1),
    "router": ("11_router", 1),
    "auxiliary loss": ("04_degenerate_manager", 1),
    "slant": ("08_ladder", 1),
    "GPU": ("06_fast", 1),
    "graphics card": ("06_fast", 1),
    "draw a digit": ("playground_digits", 1),
    "ELBO": ("01_cheating", 1),
    "K-means": ("03_kmeans", 1),
    "Hungarian": ("05_moe_vae", 1),
    "accuracy without labels": ("05_moe_vae", 3),
    "reparameterisation trick": ("01_cheating", 1),
    "restart": ("02_two_parabolas", 1),
    "restarts": ("02_two_parabolas", 1),
    "bfloat16": ("06_fast", 1),
    "IWAE": ("07_how_good", 1),
    "augmentation": ("08_ladder", 1),
    "trees": ("09_experts_of_experts", 1),
    "switch": ("04_degenerate_manager", 1),
    "what is the switch term?": ("04_degenerate_manager", 1),
    "gradient of the manager": ("02_two_parabolas", 1),
    "latent codes": ("01_cheating", 1),
}


@pytest.fixture(scope="module")
def results(chromium):
    """From a query to the search page on a phone, with its results."""
    visit = Visit("search.html")
    page = recorded_page(chromium, visit, viewport=PHONE)

    def search(query):
        page.goto(f"{(HTML / 'search.html').as_uri()}?q={query.replace(' ', '+')}")
        page.locator("#search-results [role=status]").wait_for()
        return page

    yield search
    page.context.close()
    assert not visit.requests and not visit.errors, "read from a file, it asks nobody and fails at nothing"


def test_each_query_finds_the_page_that_one_wants(results):
    ranks = {}
    for query, (page, _) in WANTED.items():
        titles = results(query).locator("#search-results h2 a")
        found = [link.get_attribute("href").removesuffix(".html") for link in titles.all()]
        ranks[query] = found.index(page) + 1 if page in found else None
    assert not {query: rank for query, rank in ranks.items() if not rank or rank > WANTED[query][1]}


def test_results_are_sections_with_the_words_in_them_and_lead_there(results):
    page = results("collapse")
    sections = page.locator("#search-results li a").all()
    assert len(sections) > 5
    for link in sections:
        file, anchor = link.get_attribute("href").split("#")
        assert re.search(rf'id="{re.escape(anchor)}"', (HTML / file).read_text("utf-8")), anchor
    marked = {mark.lower() for mark in page.locator("#search-results mark").all_inner_texts()}
    assert marked and all(word.startswith(("collaps", "degenerat")) for word in marked)
    assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]


def test_what_is_nowhere_is_said_to_be(results):
    page = results("xyzzyplugh")
    assert page.get_by_text("Nothing matches “xyzzyplugh”").is_visible()
    assert page.locator("#search-results a").count() == 0
    page = results("<b>bold</b>")
    assert page.locator("#search-results b").count() == 0, "a query is text"

"""Settings and fixtures of all tests."""

import os

import browser
import pytest
from hypothesis import settings

# The first call of an operation of PyTorch may take longer than all others; and a test that fails must fail again.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


@pytest.fixture(scope="module")
def chromium():
    """A running browser, closed before the next module: while it is open, no other event loop can run."""
    if browser.find() is None:
        reason = f"no browser found: install one of {', '.join(browser.NAMES)}"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    with browser.launch() as chromium:
        yield chromium


@pytest.fixture
def open_built(chromium):
    """Opens a page of the built book; at the end nothing may have gone wrong on it, or out of it."""
    from test_site import DESKTOP, Visit, recorded_page  # here: pytest wants to read a test's file before anyone does

    visits = []

    def open(path, **settings):
        if not path.is_file():
            pytest.fail("there is no built book: run `make book` first")
        visit = Visit(path.name)
        page = recorded_page(chromium, visit, **({"viewport": DESKTOP} | settings))
        visits.append((visit, page))
        page.goto(path.as_uri())
        browser.settle(page)
        return page

    yield open
    for visit, page in visits:
        page.context.close()
        assert not visit.errors and not visit.requests

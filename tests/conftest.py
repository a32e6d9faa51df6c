"""Settings and fixtures of all tests."""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # threads that wait do not spin; before PyTorch is loaded

import browser
import pytest
from hypothesis import settings
from visits import DESKTOP, HTML, TABS, Visit, look_at, recorded_page

# The first call of an operation of PyTorch may take longer than all others; and a test that fails must fail again.
settings.register_profile("steady", deadline=None, derandomize=True)
settings.load_profile("steady")


def pytest_collection_modifyitems(items):
    """One browser for all, and at the end: while it is open, no other event loop can run."""
    items.sort(key=lambda item: item.get_closest_marker("browser") is not None)


@pytest.fixture(scope="session")
def chromium():
    """A running browser."""
    if browser.find() is None:
        reason = f"no browser found: install one of {', '.join(browser.NAMES)}"
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(reason)
    with browser.launch() as chromium:
        yield chromium


@pytest.fixture(scope="session")
def visits(chromium) -> list[Visit]:
    """What the browser saw of every page of the built book."""
    shown = [path for path in sorted(HTML.glob("*.html")) if "<h1" in path.read_text("utf-8")]
    if not shown:
        pytest.fail("there is no built book: run `make book` first")
    return [visit for i in range(0, len(shown), TABS) for visit in look_at(chromium, shown[i : i + TABS])]


@pytest.fixture
def open_built(chromium):
    """Opens a page of the built book; at the end nothing may have gone wrong on it, or out of it."""
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

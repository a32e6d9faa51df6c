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

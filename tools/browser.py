"""A headless Chromium for looking at the built book; it never asks the network for anything of its own."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

QUIET = (
    "--no-sandbox",  # containers run as root
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--no-first-run",
)


def find() -> str | None:
    """The path of an installed Chromium or Chrome, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


@contextmanager
def launch() -> Iterator:
    """A running browser (playwright's Browser), closed at the end."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=find(), args=list(QUIET))
        try:
            yield browser
        finally:
            browser.close()


READY = """async () => {
  const pictures = [...document.images];
  pictures.forEach((picture) => { picture.loading = "eager"; });  // those that would wait for the reader too
  await Promise.allSettled(pictures.map((picture) => picture.decode()));
  await document.fonts.ready;
}"""


def settle(page) -> None:
    """Wait until a page has its fonts and all its pictures."""
    page.evaluate(READY)

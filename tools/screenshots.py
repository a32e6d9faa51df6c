"""Pictures of the built book's pages, to look at: 1440 and 390 px wide, light and dark, in full length.

    python tools/screenshots.py                    every page
    python tools/screenshots.py intro 05_moe_vae   these pages

They go to book/_build/screenshots/PAGE-WIDTH-MODE.png. Build the book first (`make book`).
"""

import argparse
import sys
from itertools import product
from pathlib import Path

import browser

BUILD = Path(__file__).resolve().parent.parent / "book" / "_build"
HTML = BUILD / "html"
PICTURES = BUILD / "screenshots"
WIDTHS = (1440, 390)
MODES = ("light", "dark")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", metavar="page", help="a page's name without .html; all when left out")
    names = parser.parse_args().pages or sorted({path.stem for path in HTML.glob("*.html")} - {"index"})
    if not names:
        sys.exit(f"{HTML} holds no pages: run `make book` first")
    if missing := [name for name in names if not (HTML / f"{name}.html").is_file()]:
        sys.exit(f"no such page in {HTML}: {', '.join(missing)}")
    if browser.find() is None:
        sys.exit(f"no browser found; install one of: {', '.join(browser.NAMES)}")

    PICTURES.mkdir(parents=True, exist_ok=True)
    with browser.launch() as chromium:
        for name, width, mode in product(names, WIDTHS, MODES):
            page = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=mode)
            page.goto((HTML / f"{name}.html").as_uri())
            browser.settle(page)
            picture = PICTURES / f"{name}-{width}-{mode}.png"
            page.screenshot(path=picture, full_page=True)
            page.close()
            print(picture)


if __name__ == "__main__":
    main()

"""Every built page under axe-core: by day and by night on a desk, and on a phone; no violation of any impact."""

from pathlib import Path

import axe_playwright_python
import browser
import pytest

pytestmark = pytest.mark.browser

HTML = Path(__file__).resolve().parent.parent / "book" / "_build" / "html"
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")

DESKTOP = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}
THEME_NOTICES_A_NEW_SIZE = 500  # milliseconds: then what scrolls can be reached with the keyboard

# Each rule once for what it depends on: modes differ in colours, and sizes in everything else.
ALL: dict = {}
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
ALL_ELSE = {"rules": {"color-contrast": {"enabled": False}}}

TABS = 4  # at a time: each is a process of the browser, and they compute side by side


def opened(chromium, path: Path):
    """A tab with a page, all its details unfolded, and axe-core."""
    tab = chromium.new_page(viewport=DESKTOP, color_scheme="light", reduced_motion="reduce")
    tab.set_default_timeout(120_000)  # for a busy machine
    tab.goto(path.as_uri())
    browser.settle(tab)
    tab.evaluate(AXE)
    tab.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
    return tab


def audit(tabs: dict, mode: str, rules: dict) -> list[str]:
    """What is wrong with the pages as they stand; all of them are at work before the first is waited for."""
    next(iter(tabs.values())).wait_for_timeout(THEME_NOTICES_A_NEW_SIZE)
    for tab in tabs.values():
        tab.evaluate("rules => { window.audit = axe.run({...rules, resultTypes: ['violations']}); }", rules)
    return [
        f"{name}, {mode}: {broken['id']} ({broken['impact']}): {node['html'][:120]}\n    {node['failureSummary']}"
        for name, tab in tabs.items()
        for broken in tab.evaluate("window.audit")["violations"]
        for node in broken["nodes"]
    ]


def violations(chromium, paths: list[Path]) -> list[str]:
    """What is wrong with the pages by day, by night and on a phone."""
    tabs = {path.name: opened(chromium, path) for path in paths}
    found = audit(tabs, "light", ALL)
    for tab in tabs.values():
        tab.evaluate("document.documentElement.dataset.theme = 'dark'")
    found += audit(tabs, "dark", COLOURS)
    for tab in tabs.values():
        tab.set_viewport_size(PHONE)
    found += audit(tabs, "phone", ALL_ELSE)
    for tab in tabs.values():
        tab.context.close()
    return found


def test_no_page_shuts_anybody_out(chromium):
    pages = [path for path in sorted(HTML.glob("*.html")) if "<h1" in path.read_text("utf-8")]
    assert pages, "there is no built book: run `make book` first"
    wrong = [
        line for few in (pages[i : i + TABS] for i in range(0, len(pages), TABS)) for line in violations(chromium, few)
    ]
    assert not wrong, "\n".join(wrong)


BROKEN = """<!doctype html><html lang="en"><head><title>Broken</title><style>
html[data-theme="dark"] p { color: #000; background: #111 }
pre { overflow: auto }
</style></head><body><main><h1>Broken</h1><img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=">
<p>Not to be read in the dark.</p><details><summary>More</summary><a href="#"></a></details>
<pre style="width: min(100%, 600px)">A line of code that is wider than the screen of any phone: wide, wide, wide</pre>
</main></body></html>"""


def test_what_shuts_people_out_is_found(chromium, tmp_path):
    path = tmp_path / "broken.html"
    path.write_text(BROKEN)
    found = {" ".join(line.split()[1:3]) for line in violations(chromium, [path])}
    assert found == {
        "light: image-alt",
        "light: link-name",
        "dark: color-contrast",
        "phone: image-alt",
        "phone: link-name",
        "phone: scrollable-region-focusable",
    }

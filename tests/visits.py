"""What a browser sees of the built book: each page is opened once, by day and by night, on a desk and on a phone."""

import re
from dataclasses import dataclass, field
from pathlib import Path

import axe_playwright_python
import browser

ROOT = Path(__file__).resolve().parent.parent
BOOK = ROOT / "book"
HTML = BOOK / "_build" / "html"
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")

PHONE = {"width": 390, "height": 844}
DESKTOP = {"width": 1440, "height": 900}
PATIENCE = 300_000  # milliseconds, for a busy machine
THEME_NOTICES_A_NEW_SIZE = 500  # milliseconds: then what scrolls can be reached with the keyboard
TABS = 4  # at a time: each is a process of the browser, and they compute side by side

# Each rule of axe-core once for what it depends on: modes differ in colours, and sizes in everything else.
QUICK = {"preload": False, "resultTypes": ["violations"]}  # without a second look at stylesheets, refused to files
ALL: dict = {}
COLOURS = {"runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
ALL_ELSE = {"rules": {"color-contrast": {"enabled": False}}}

# Raw TeX that no one typeset: \( or \[, a display, an environment, or $ around a command.
RAW_TEX = r"\\\(|\\\[|\$\$|\\begin\{|\$[^$\n]*\\[a-zA-Z]+[^$\n]*\$"


@dataclass
class Visit:
    """What a browser saw of one page."""

    name: str
    requests: list[str] = field(default_factory=list)  # to anything but files
    errors: list[str] = field(default_factory=list)
    violations: list[str] = field(default_factory=list)  # of axe-core's rules
    formulas: int = 0
    typeset: int = 0
    math_errors: list[str] = field(default_factory=list)
    raw_tex: list[str] = field(default_factory=list)
    whole_fonts: list[str] = field(default_factory=list)  # loaded with all their signs
    width: dict[str, int] = field(default_factory=dict)  # of the page on a phone, by mode
    distorted: list[str] = field(default_factory=list)  # figures on a phone
    cards: list[str] = field(default_factory=list)  # figures that are light in dark mode
    unshown: list[str] = field(default_factory=list)  # what scrolls without a sign of it, and formulas that are cut
    gaps: dict[str, float] = field(default_factory=dict)  # pixels between toolbar and title, by screen


LOOK_FOR_RAW_TEX = """pattern => {
  const skip = "pre, code, script, style, textarea, mjx-container";
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const found = [];
  for (let node; (node = walker.nextNode());) {
    const match = node.data.match(new RegExp(pattern));
    if (match && !node.parentElement.closest(skip)) found.push(node.data.trim().slice(0, 80));
  }
  return found;
}"""

LOOK_FOR_WHOLE_FONTS = """() => [...document.fonts]
  .filter(font => font.status === "loaded" && font.unicodeRange === "U+0-10FFFF").map(font => font.family)"""

# What is drawn on white paper has its lightness turned round by night, and so has a film.
LOOK_FOR_LIGHT_CARDS = """() => [...document.querySelectorAll(".bd-article :is(.cell_output, figure) :is(img, video)")]
  .filter(figure => !getComputedStyle(figure).filter.includes("invert(1)"))
  .map(figure => (figure.getAttribute("src") || "film").slice(0, 60))"""

LOOK_FOR_UNSHOWN_ENDS = """() => {
  const silent = [...document.querySelectorAll(".bd-article, .bd-article *")].filter((box) => {
    if (!box.clientWidth || box.scrollWidth <= box.clientWidth + 1) return false;
    const { overflowX, backgroundImage, backgroundAttachment } = getComputedStyle(box);
    const shown = backgroundImage.includes("gradient") && backgroundAttachment.includes("local");
    return ["auto", "scroll"].includes(overflowX) && !shown;
  });
  const cut = [...document.querySelectorAll("span.math")].filter((box) =>
    box.clientWidth && (box.querySelector("svg")?.getBoundingClientRect().width ?? 0) > box.clientWidth + 3);
  return [...silent, ...cut].map((box) => `${box.localName}.${box.className}: ${box.textContent.trim().slice(0, 50)}`);
}"""

# From the toolbar to the letters of the title; no number on a page without one of them.
GAP = """() => {
  const bar = document.querySelector(".bd-header-article"), title = document.querySelector(".bd-article h1");
  const letters = document.createRange();
  if (bar && title) letters.selectNodeContents(title);
  return bar && title ? letters.getBoundingClientRect().top - bar.getBoundingClientRect().bottom : null;
}"""

# The shadows at the edges of what scrolls are gradients, over which axe-core judges no colours.
WITHOUT_SHADOWS = ".bd-article * { background-image: none !important }"

LOOK_FOR_DISTORTED_FIGURES = """() => [...document.querySelectorAll(".bd-article .cell_output img")]
  .filter(image => Math.abs(image.width / image.naturalWidth * image.naturalHeight - image.height) > 2)
  .map(image => image.getAttribute("src").slice(0, 60))"""


# Half of a chapter are the words of its code. Of those that look alike one is enough for axe-core.
UNWRAP_CODE_THAT_LOOKS_ALIKE = """() => {
  const seen = new Set(), look = ["color", "backgroundColor", "fontSize", "fontWeight", "fontStyle", "textDecoration"];
  for (const word of document.querySelectorAll(".highlight pre span")) {
    const style = getComputedStyle(word), paper = getComputedStyle(word.closest("pre")).backgroundColor;
    const key = [paper, ...look.map((property) => style[property])].join();
    const plain = word.getAttributeNames().every((name) => name === "class");
    if (plain && seen.has(key)) word.replaceWith(...word.childNodes);
    seen.add(key);
  }
}"""


def recorded_page(chromium, visit: Visit, **settings):
    """A new page whose errors and non-file requests end up in `visit`; the requests go nowhere."""
    context = chromium.new_context(service_workers="block", **settings)
    context.set_default_timeout(PATIENCE)

    def stop(route):
        visit.requests.append(route.request.url)
        route.abort()

    context.route(re.compile(r"^(?!file:|data:|blob:)"), stop)
    page = context.new_page()

    page.on("console", lambda message: visit.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: visit.errors.append(str(error)))
    return page


def audit(tabs: list[tuple[Visit, object]], mode: str, rules: dict) -> None:
    """Notes what is wrong with pages as they stand; all of them are at work before the first is waited for."""
    tabs[0][1].wait_for_timeout(THEME_NOTICES_A_NEW_SIZE)
    for _, tab in tabs:
        tab.evaluate(
            "rules => { window.audit = axe.run({...rules, preload: false, resultTypes: ['violations']}); }", rules
        )
    for visit, tab in tabs:
        visit.violations += [
            f"{visit.name}, {mode}: {broken['id']} ({broken['impact']}): {node['html'][:120]}\n    "
            + node["failureSummary"]
            for broken in tab.evaluate("window.audit")["violations"]
            for node in broken["nodes"]
        ]


def look_at(chromium, paths: list[Path]) -> list[Visit]:
    """Opens pages side by side, and unfolds all their details."""
    tabs = []
    for path in paths:
        visit = Visit(path.name)
        tab = recorded_page(chromium, visit, viewport=DESKTOP, color_scheme="light", reduced_motion="reduce")
        tab.goto(path.as_uri())
        tabs.append((visit, tab))
    for visit, tab in tabs:
        browser.settle(tab)
        visit.formulas = tab.locator(".math").count()
        visit.typeset = tab.locator(".math mjx-container").count()
        visit.math_errors = tab.locator("mjx-merror, [data-mjx-error]").all_inner_texts()
        visit.raw_tex = tab.evaluate(LOOK_FOR_RAW_TEX, RAW_TEX)
        visit.whole_fonts = tab.evaluate(LOOK_FOR_WHOLE_FONTS)
        tab.evaluate(UNWRAP_CODE_THAT_LOOKS_ALIKE)
        tab.evaluate(AXE)
        tab.evaluate("document.querySelectorAll('details').forEach(details => details.open = true)")
        for screen, size in (("phone", PHONE), ("desktop", DESKTOP)):
            tab.set_viewport_size(size)
            visit.unshown += [f"{screen}: {box}" for box in tab.evaluate(LOOK_FOR_UNSHOWN_ENDS)]
            if (gap := tab.evaluate(GAP)) is not None:
                visit.gaps[screen] = gap
        tab.add_style_tag(content=WITHOUT_SHADOWS)
    audit(tabs, "light", ALL)
    for visit, tab in tabs:
        tab.evaluate("document.documentElement.dataset.theme = 'dark'")
        visit.cards = tab.evaluate(LOOK_FOR_LIGHT_CARDS)
    audit(tabs, "dark", COLOURS)
    for visit, tab in tabs:
        tab.set_viewport_size(PHONE)
        for mode in ("dark", "light"):
            tab.evaluate("mode => document.documentElement.dataset.theme = mode", mode)
            visit.width[mode] = tab.evaluate("document.documentElement.scrollWidth")
        visit.distorted = tab.evaluate(LOOK_FOR_DISTORTED_FIGURES)
    audit(tabs, "phone", ALL_ELSE)
    for _, tab in tabs:
        tab.context.close()
    return [visit for visit, _ in tabs]

"""The built book in Chromium, Firefox and WebKit: do pages, folds, playgrounds and the search work in each of them?

    python tools/browsers.py                   all three
    python tools/browsers.py Firefox WebKit    these

Build the book first (`make book`); `make browsers` does both. A browser that isn't there is skipped. Each page is
opened from a server, 1440 and 390 px wide, and from a file, as by a reader without a network. What is opened is a copy,
in which a script notes what goes wrong, and a policy stops every request that would leave it. It ends with an error
if anything is wrong.
"""

import argparse
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import axe_playwright_python
import drive

HTML = Path(__file__).resolve().parent.parent / "book" / "_build" / "html"
AXE = (Path(axe_playwright_python.__file__).parent / "axe.min.js").read_text("utf-8")
DESKTOP, PHONE = (1440, 900), (390, 844)
WAIT = 60  # seconds, for what a page computes
INSTALL = {
    "Chromium": "install chromium or google-chrome",
    "Firefox": "install firefox or firefox-esr (and libavcodec, for films), or run `playwright install firefox`",
    "WebKit": "install Debian's webkit2gtk-driver and xvfb, or run `playwright install webkit`",
}

WATCH = """<meta http-equiv="Content-Security-Policy"
  content="default-src 'self' file: data: blob: 'unsafe-inline' 'unsafe-eval'">
<script>{
  const seen = (window.seen = { errors: [], requests: [] }), say = console.error;
  const address = ({ src, href, currentSrc }) => src || currentSrc || href;
  addEventListener("error", (event) => event.target === window ? seen.errors.push(event.message)
    : seen.requests.push(`${address(event.target)} fails`), true);
  addEventListener("unhandledrejection", (event) => seen.errors.push(String(event.reason)));
  addEventListener("securitypolicyviolation", (event) => seen.requests.push(`${event.blockedURI} is foreign`));
  console.error = (...words) => { seen.errors.push(words.join(" ")); say(...words); };
}</script>"""

LOOK = """async () => {
  document.documentElement.style.scrollBehavior = "auto";
  const pictures = [...document.images], wrong = [];
  pictures.forEach((picture) => { picture.loading = "eager"; });
  await Promise.allSettled(pictures.map((picture) => picture.decode()));
  await document.fonts.ready;
  const say = (what, found) => { if (found.length) wrong.push(`${found.length} ${what}`); };
  say("pictures are not shown", pictures.filter(({ naturalWidth, src }) => src && !naturalWidth));
  const box = (node) => node.getBoundingClientRect();
  const drawn = (node) => !node.offsetParent || (box(node).height > 5 && box(node).width > 2);
  say("formulas are not drawn", [...document.querySelectorAll(".math")].filter((node) => !drawn(node)));
  const folds = [...document.querySelectorAll("article details")];
  for (const fold of folds) if (!fold.open) fold.querySelector("summary").click();
  await new Promise((go) => setTimeout(go, 500));  // then the theme has seen what scrolls now
  for (const fading of document.getAnimations()) if (fading.effect.getTiming().iterations < Infinity) fading.finish();
  const shown = ({ offsetParent, lastElementChild }) => !offsetParent || box(lastElementChild).height > 5;
  say("folds stay shut", folds.filter((fold) => !fold.open || !shown(fold)));
  const { scrollWidth, clientWidth } = document.documentElement;
  const wide = scrollWidth > clientWidth ? [`${scrollWidth} px of ${clientWidth}`] : [];
  return { errors: window.seen.errors, requests: window.seen.requests, wide, folds: wrong };
}"""

AUDIT = """async (source) => {
  for (const code of document.querySelectorAll(".highlight pre")) code.textContent += "";  // thousands of words less
  (0, eval)(source);
  const { violations } = await axe.run({ preload: false, resultTypes: ["violations"] });
  return violations.flatMap(({ id, nodes }) => nodes.map(({ html }) => `${id}: ${html.slice(0, 100)}`));
}"""

SAID = "(query) => document.querySelector(query)?.textContent ?? ''"
PLACE = """async (query) => {
  const node = document.querySelector(query);
  node.scrollIntoView({ block: "center", behavior: "instant" });
  await new Promise((go) => setTimeout(go, 300));  // WebKit scrolls in another process, and a pointer may be quicker
  const { left, top, width, height } = node.getBoundingClientRect();
  return { left, top, width, height };
}"""
UNTIL = """async (query, words, seconds) => {
  const said = () => document.querySelector(query)?.textContent ?? "";
  const end = performance.now() + 1000 * seconds;
  while (!RegExp(words).test(said()) && performance.now() < end) await new Promise((go) => setTimeout(go, 50));
  return RegExp(words).test(said()) ? [] : [`${query} says “${said().trim().slice(0, 60)}”, not “${words}”`];
}"""


@dataclass
class Round:
    """One way to read the book: where its pages are, how large the window is, and whether axe-core looks too."""

    name: str
    address: str
    size: tuple[int, int]
    audit: bool


@dataclass
class Seen:
    """What went wrong in one browser, by kind."""

    browser: str
    pages: int = 0
    wrong: dict[str, list[str]] = field(default_factory=lambda: {kind: [] for kind in KINDS})

    def note(self, kind: str, where: str, found: list[str]) -> None:
        self.wrong[kind] += [f"{where}: {line}" for line in found]


KINDS = ("errors", "requests", "wide", "folds", "playgrounds", "search", "axe")


def press(tab, query: str) -> None:
    """A click of the pointer in the middle of what a selector finds."""
    box = tab.run(PLACE, query)
    tab.drag((box["left"] + box["width"] / 2, box["top"] + box["height"] / 2))


def play(tab) -> list[str]:
    """The two parabolas: a hundred steps make the loss fall."""
    loss = lambda: float(tab.run(SAID, "[data-number=expected]"))  # noqa: E731
    before = loss()
    press(tab, "[data-do=play]")
    wrong = tab.run(UNTIL, "[data-number=step]", r"\d\d\d", WAIT)
    press(tab, "[data-do=play]")
    return wrong or ([] if loss() < before else [f"the loss was {before}, and is {loss()}"])


def draw(tab) -> list[str]:
    """The digits: a 7 drawn on empty paper gets a verdict, and the game takes an answer."""
    press(tab, "#digits-draw [data-do=clear]")
    wrong = tab.run(UNTIL, "#digits-draw .pg-status", "paper is empty", WAIT)
    box = tab.run(PLACE, ".pgd-sheet")
    seven = [(0.3, 0.25), (0.5, 0.25), (0.7, 0.25), (0.6, 0.5), (0.5, 0.78)]
    tab.drag(*((box["left"] + x * box["width"], box["top"] + y * box["height"]) for x, y in seven))
    wrong += tab.run(UNTIL, "#digits-draw .pg-status", r"manager[^]*p\s=\s[01]\.\d[^]*loss", WAIT)
    press(tab, "#digits-game [data-do=start]")
    wrong += tab.run(UNTIL, ".pgd-round", "Image 1 of 12", WAIT)
    press(tab, "#digits-game [data-expert]")
    return wrong + tab.run(UNTIL, ".pgd-round", "Image 2 of 12", WAIT)


PLAYGROUNDS = {"playground.html": play, "playground_digits.html": draw}


def look(tab, way: Round, pages: list[str], seen: Seen) -> None:
    """Opens every page in one way, plays, and searches."""
    tab.resize(*way.size)
    for page in pages:
        where = f"{page}, {way.name}"
        tab.visit(f"{way.address}/{page}")
        found = tab.run(LOOK)
        if way.audit:
            seen.note("axe", where, tab.run(AUDIT, AXE))
        if page in PLAYGROUNDS:
            seen.note("playgrounds", where, PLAYGROUNDS[page](tab))
            found |= {kind: tab.run("(kind) => window.seen[kind]", kind) for kind in ("errors", "requests")}
        for kind, lines in found.items():
            seen.note(kind, where, lines)
        seen.pages += 1
        print(f"  {where}", file=sys.stderr, flush=True)
    tab.visit(f"{way.address}/search.html?q=collapse")
    seen.note("search", way.name, tab.run(UNTIL, "#search-results h2 a", "degenerate manager", WAIT))
    for kind in ("errors", "requests"):
        seen.note(kind, f"search.html?q=collapse, {way.name}", tab.run("(kind) => window.seen[kind]", kind))


@contextmanager
def served() -> Iterator[tuple[Path, str, list[str]]]:
    """A copy of the book that watches itself: its folder, its address, and what was asked for and isn't there."""
    missing: list[str] = []

    class Host(SimpleHTTPRequestHandler):
        def log_message(self, *args) -> None:
            pass

        def send_error(self, code: int, *args, **more) -> None:
            missing.append(f"{self.path} gets {code}")
            super().send_error(code, *args, **more)

    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "book"
        shutil.copytree(HTML, folder, ignore=shutil.ignore_patterns("_sources", "*.pdf"))
        for path in folder.glob("*.html"):
            path.write_text(path.read_text("utf-8").replace("<head>", f"<head>{WATCH}", 1), "utf-8")
        with ThreadingHTTPServer(("127.0.0.1", 0), partial(Host, directory=str(folder))) as server:
            threading.Thread(target=server.serve_forever, daemon=True).start()
            yield folder, f"http://127.0.0.1:{server.server_port}", missing
            server.shutdown()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engines", nargs="*", choices=[*INSTALL, []], help="all three when left out")
    engines = parser.parse_args().engines or [*INSTALL]
    pages = sorted(path.name for path in HTML.glob("*.html") if "<h1" in path.read_text("utf-8"))
    pages = [page for page in pages if page != "index.html"]  # the introduction once more
    if not pages:
        sys.exit(f"{HTML} holds no book: run `make book` first")

    rows = []
    with served() as (folder, address, missing):
        ways = (Round("wide", address, DESKTOP, True), Round("phone", address, PHONE, True))
        ways += (Round("file", folder.as_uri(), DESKTOP, False),)
        for engine in engines:
            with drive.tab(engine) as tab:
                if tab is None:
                    print(f"{engine}: skipped, there is none; {INSTALL[engine]}")
                    continue
                print(f"{engine} {tab.version}: {len(pages)} pages, wide, on a phone, and from a file", flush=True)
                seen = Seen(f"{engine} {tab.version}")
                for way in ways:
                    look(tab, way, pages, seen)
                seen.note("requests", "server", missing)
                missing.clear()
                rows.append(seen)
    print(f"\n{'browser':24}{'visits':>8}", *(f"{kind:>12}" for kind in KINDS), sep="")
    for seen in rows:
        print(f"{seen.browser:24}{seen.pages:8}", *(f"{len(seen.wrong[kind]) or 'fine':>12}" for kind in KINDS), sep="")
    if wrong := [f"{seen.browser}, {kind}, {line}" for seen in rows for kind in KINDS for line in seen.wrong[kind]]:
        sys.exit("\n".join(wrong))


if __name__ == "__main__":
    main()

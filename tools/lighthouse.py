"""Google's Lighthouse on every page of the built book: performance, accessibility, best practices, SEO, of 100 each.

    python tools/lighthouse.py                    every page, as on a desktop
    python tools/lighthouse.py --phone intro      this page, as on a slow phone

Build the book first (`make book`), and leave the machine alone meanwhile: performance is time. Needs Chromium and npx
(of Node.js), which fetches Lighthouse from the npm registry. The book is served as a static host serves it, compressed
and cacheable. It ends with an error if a score is below 95.
"""

import argparse
import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from functools import cache
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import browser

HTML = Path(__file__).resolve().parent.parent / "book" / "_build" / "html"
LIGHTHOUSE = "lighthouse@12.8.2"
CATEGORIES = ("performance", "accessibility", "best-practices", "seo")
ENOUGH = 95
UNLISTED = "404"  # asks search engines to leave it out, which is no fault in it
COMPRESSIBLE = (".html", ".css", ".js", ".svg", ".json", ".xml", ".txt")


@cache
def compressed(path: Path) -> bytes:
    return gzip.compress(path.read_bytes())


class StaticHost(SimpleHTTPRequestHandler):
    """The built book over HTTP, as GitHub Pages gives it."""

    def __init__(self, *args) -> None:
        super().__init__(*args, directory=str(HTML))

    def do_GET(self) -> None:
        path = Path(self.translate_path(self.path))
        if not (path.is_file() and path.suffix in COMPRESSIBLE):
            super().do_GET()
            return
        body = compressed(path)
        self.send_response(200)
        self.send_header("Content-Type", self.guess_type(path))
        self.send_header("Content-Encoding", "gzip")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def end_headers(self) -> None:
        self.send_header("Cache-Control", "max-age=600")
        super().end_headers()

    def log_message(self, *args) -> None:
        pass


def scores(url: str, phone: bool) -> tuple[dict[str, int], list[str]]:
    """The four scores of a page, and the audits that brought one of them below what is enough."""
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder) / "report.json"
        command = ["npx", "--yes", LIGHTHOUSE, url, "--output=json", f"--output-path={report}", "--quiet"]
        command += [f"--chrome-flags=--headless=new {' '.join(browser.QUIET)}"]
        command += [f"--only-categories={','.join(CATEGORIES)}", *([] if phone else ["--preset=desktop"])]
        command += ["--skip-audits=is-crawlable"] if url.endswith(f"/{UNLISTED}.html") else []
        run = subprocess.run(
            command,
            env=os.environ | {"CHROME_PATH": browser.find()},
            capture_output=True,
            encoding="utf-8",
            check=False,
        )
        if run.returncode or not report.is_file():
            sys.exit(f"Lighthouse failed on {url}:\n{run.stderr[-2000:]}")
        found = json.loads(report.read_text(encoding="utf-8"))
    categories = {name: found["categories"][name] for name in CATEGORIES}
    if broken := [a["title"] for a in found["audits"].values() if a["scoreDisplayMode"] == "error"]:
        sys.exit(f"Lighthouse could not finish on {url}: {'; '.join(broken)}")
    points = {name: round(100 * category["score"]) for name, category in categories.items()}
    low = [categories[name]["auditRefs"] for name in CATEGORIES if points[name] < ENOUGH]
    weighing = [found["audits"][audit["id"]] for audits in low for audit in audits if audit["weight"]]
    return points, [audit["id"] for audit in weighing if audit["score"] is not None and audit["score"] < ENOUGH / 100]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pages", nargs="*", metavar="page", help="a page's name without .html; all pages when left out")
    parser.add_argument("--phone", action="store_true", help="as on a slow phone, not on a desktop")
    arguments = parser.parse_args()
    names = arguments.pages or sorted(path.stem for path in HTML.glob("*.html"))
    if not names or not all((HTML / f"{name}.html").is_file() for name in names):
        sys.exit(f"{HTML} holds no such pages: run `make book` first")
    if browser.find() is None:
        sys.exit(f"no browser found; install one of: {', '.join(browser.NAMES)}")
    if shutil.which("npx") is None:
        sys.exit("no npx found; it comes with Node.js")

    server = ThreadingHTTPServer(("127.0.0.1", 0), StaticHost)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    low = []
    print(f"{'page':24}", *(f"{name:>15}" for name in CATEGORIES))
    for name in names:
        points, faults = scores(f"http://127.0.0.1:{server.server_port}/{name}.html", arguments.phone)
        print(f"{name:24}", *(f"{score:15}" for score in points.values()), " ", ", ".join(faults), flush=True)
        low += [name] if min(points.values()) < ENOUGH else []
    if low:
        sys.exit(f"below {ENOUGH}: {', '.join(low)}")


if __name__ == "__main__":
    main()

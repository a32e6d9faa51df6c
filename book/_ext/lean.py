"""Leaves a page little to load before it is drawn, on a slow phone too.

The theme and Jupyter Book load more than a megabyte of scripts first. Of these, Thebe would run cells in the page (its
button is off, and loaded twice it fails), Font Awesome's script draws what its fonts draw too, and what searches is
needed on the search page. The others wait for the text. One stylesheet takes the place of nine, and holds what this
book needs of them. Pictures load when they come near, and have their room from the start.
"""

import base64
import hashlib
import re
from functools import partial
from pathlib import Path

import imagesize
import stylesheets
from sphinx.application import Sphinx

UNUSED = re.compile(
    r"""\s*<script\b[^>]*(?:/fontawesome\.js|sphinx-thebe)[^>]*></script>|\s*<script>const THEBE.*?</script>"""
    r"""|\s*<link\b[^>]*sphinx-thebe[^>]*>"""
)
SEARCHING = re.compile(r"\s*<script\b[^>]*\b(?:searchtools|language_data|searchindex)\.js[^>]*></script>")
# All but the one that scripts inside the page refer to while it is read.
WAITING = re.compile(r"<script(?![^>]*\b(?:async|defer)\b)(?=[^>]*\ssrc=)(?![^>]*documentation_options)")
STYLES = re.compile(r'\s*<link\b(?=[^>]*\brel="stylesheet")(?![^>]*/formulas\.css)[^>]*\bhref="([^"?]+)[^"]*"[^>]*>')
SCRIPTS = re.compile(r'<script\b[^>]*\bsrc="([^"?:]+)')
INLINE = re.compile(r'"data:(?:image|video)/(\w+);base64,([^"]{1000,})"')
PICTURES = re.compile(r'<(img|video)\b(?![^>]*\bwidth=)(?=[^>]*\b(?:src|poster)="(_images/[^"]+)")')
# Half of all elements do nothing. In code, names, punctuation and space have the colour of text anyway; and a single
# word need not be kept together inside what can be kept together itself.
PLAIN = re.compile(r'<span class="(?:nn?|p|w)">([^<]*|<span class="pre">[^<]*</span>)</span>')
SINGLE = re.compile(r'<code class="([^"]*)"><span class="pre">([^<]*)</span></code>')

STYLESHEET = "_static/book.css"
PATIENCE = {"img": ' loading="lazy" decoding="async"', "video": ""}  # a film waits by itself, until it is played


def drop(head: str) -> str:
    """A part of a page's head without what is unused."""
    return UNUSED.sub("", head)


def lean(head: str) -> str:
    """The same without what only the search page needs, and with its scripts deferred; their order stays."""
    return WAITING.sub("<script defer", SEARCHING.sub("", drop(head)))


class Stylesheet:
    """The one that takes the place of those that the pages of a build name."""

    def __init__(self) -> None:
        self.replaced: dict[str, None] = {}  # a set that keeps its order

    def restyle(self, head: str) -> str:
        """A part of a page's head that names it and no other."""
        found = STYLES.findall(head)
        self.replaced |= dict.fromkeys(found)
        return STYLES.sub("", head) + (f'\n<link rel="stylesheet" href="{STYLESHEET}">' if found else "")

    def write(self, folder: Path) -> None:
        """Into the finished book: what its pages and their scripts may use."""
        pages = [path.read_text("utf-8") for path in folder.glob("*.html")]
        scripts = sorted({script for page in pages for script in SCRIPTS.findall(page)})
        known = stylesheets.words("\n".join([*pages, *((folder / script).read_text("utf-8") for script in scripts)]))
        rules = [rule for path in self.replaced for rule in stylesheets.keep(stylesheets.read(folder / path), known)]
        css = f"/* Of {', '.join(self.replaced)} */\n{stylesheets.embed(rules, folder / '_static')}"
        (folder / STYLESHEET).write_text(css, "utf-8")


def sparse(page: str) -> str:
    """A page without the elements that make no difference."""
    return SINGLE.sub(r'<code class="\1 pre">\2</code>', PLAIN.sub(r"\1", page))


def outside(page: str, folder: Path) -> str:
    """A page with its films and large pictures in files of their own, below `folder`."""

    def save(inline: re.Match) -> str:
        data = base64.b64decode(inline[2])
        name = f"_images/{hashlib.sha256(data).hexdigest()}.{inline[1]}"
        (folder / name).write_bytes(data)
        return f'"{name}"'

    return INLINE.sub(save, page)


def patient(page: str, folder: Path) -> str:
    """A page whose pictures load when they come near, and have their room from the start."""

    def reserve(tag: re.Match) -> str:
        width, height = imagesize.get(folder / tag[2])
        return f'<{tag[1]} width="{width}" height="{height}"{PATIENCE[tag[1]]}'

    return PICTURES.sub(reserve, page)


def _offer(
    stylesheet: Stylesheet, app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object
) -> None:
    # For _templates/layout.html. The search page adds scripts of its own that need the others at once.
    context["lean"] = drop if pagename == "search" else lean
    context["restyle"] = stylesheet.restyle


def _finish(stylesheet: Stylesheet, app: Sphinx, exception: Exception | None) -> None:
    if exception is None and stylesheet.replaced:
        folder = Path(app.outdir)
        for path in folder.glob("*.html"):
            page = sparse(path.read_text("utf-8"))
            path.write_text(patient(outside(page, folder), folder), "utf-8")
        stylesheet.write(folder)


def setup(app: Sphinx) -> dict:
    stylesheet = Stylesheet()
    app.connect("html-page-context", partial(_offer, stylesheet))
    app.connect("build-finished", partial(_finish, stylesheet), priority=900)  # last: the theme writes styles then, too
    return {"parallel_read_safe": True, "parallel_write_safe": False}

"""Leaves a page little to load before it is drawn, on a slow phone too.

The theme and Jupyter Book load more than a megabyte of scripts first. Of these, Thebe would run cells in the page (its
button is off, and loaded twice it fails), Font Awesome's script draws what its fonts draw too, and what searches is
needed on the search page. The others wait for the text. One stylesheet takes the place of nine, and holds what this
book needs of them. Pictures load when they come near, and have their room from the start.
"""

import base64
import hashlib
import os
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path

import formulas
import imageio_ffmpeg
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
# All but that of the formulas, which only some pages need, and those of other hosts or for print only.
STYLES = re.compile(
    rf'\s*<link\b(?=[^>]*\brel="stylesheet")(?![^>]*\bmedia=)(?![^>]*/{re.escape(formulas.STYLESHEET)})'
    r'[^>]*\bhref="(?:\.\./)*([^"?:]+)(?:\?[^"]*)?"[^>]*>'
)
STYLESHEET = "_static/book.css"
NAMED = re.compile(rf'({re.escape(STYLESHEET)})(?:\?v=\w+)?"')
SCRIPTS = re.compile(r'<script\b[^>]*\bsrc="([^"?:]+)')
INLINE = re.compile(r'"data:(?:image|video)/(\w+);base64,([^"]{1000,})"')
PICTURE = re.compile(r'<img\b(?![^>]*\bwidth=)(?=[^>]*\bsrc="((?:\.\./)*_images/[^"]+)")')
FILM = re.compile(r'<video\b(?![^>]*\bwidth=)(?=[^>]*>\s*<source\b[^>]*\bsrc="((?:\.\./)*_images/[^"]+)")')
# Half of all elements do nothing. In code, names, punctuation and space have the colour of the rest anyway; and a word
# of its own need not be kept together inside what can be kept together itself.
CODE = re.compile(r'<pre>.*?</pre>|<dt class="sig .*?</dt>', re.DOTALL)
PLAIN = re.compile(r'<span class="(?:nn?|p|w)">([^<]*|<span class="pre">[^<]*</span>)</span>')
WORD = re.compile(r'<code class="([^"]*)"><span class="pre">([^<]*)</span></code>')


def drop(head: str) -> str:
    """A part of a page's head without what is unused."""
    return UNUSED.sub("", head)


def lean(head: str) -> str:
    """The same without what only the search page needs, and with its scripts deferred; their order stays."""
    return WAITING.sub("<script defer", SEARCHING.sub("", drop(head)))


def sparse(page: str) -> str:
    """A page without the elements that make no difference."""
    page = CODE.sub(lambda code: PLAIN.sub(r"\1", code[0]), page)
    return WORD.sub(r'<code class="\1 pre">\2</code>', page)


def outside(page: str, place: Path, images: Path) -> str:
    """A page that lies in `place`, with its films and large pictures in files of their own in `images`."""

    def save(inline: re.Match) -> str:
        data = base64.b64decode(inline[2])
        path = images / f"{hashlib.sha256(data).hexdigest()}.{inline[1]}"
        images.mkdir(exist_ok=True)
        path.write_bytes(data)
        return f'"{Path(os.path.relpath(path, place)).as_posix()}"'

    return INLINE.sub(save, page)


def patient(page: str, place: Path) -> str:
    """A page whose pictures load when they come near; they and its films have their room from the start."""

    def reserve(tag: str, size: Callable[[Path], tuple[float, float]], found: re.Match) -> str:
        width, height = map(round, size(place / found[1]))
        return f'{tag} width="{width}" height="{height}"'

    page = PICTURE.sub(partial(reserve, '<img loading="lazy" decoding="async"', imagesize.get), page)
    return FILM.sub(partial(reserve, "<video", _film_size), page)


def _film_size(path: Path) -> tuple[int, int]:
    return next(imageio_ffmpeg.read_frames(path))["size"]


class Stylesheet:
    """The one that takes the place of those that the pages of a build name."""

    def __init__(self) -> None:
        self.replaced: dict[str, None] = {}  # a set that keeps its order

    def restyle(self, address: str, head: str) -> str:
        """A part of a page's head that names it, by its address from there, and no other."""
        found = STYLES.findall(head)
        self.replaced |= dict.fromkeys(found)
        return STYLES.sub("", head) + (f'\n<link rel="stylesheet" href="{address}">' if found else "")

    def write(self, folder: Path, pages: dict[Path, str]) -> str:
        """Writes what pages and their scripts may use, and tells a checksum of it."""
        scripts = {(path.parent / script).resolve() for path in pages for script in SCRIPTS.findall(pages[path])}
        texts = [*pages.values(), *(script.read_text("utf-8") for script in sorted(scripts) if script.is_file())]
        known = stylesheets.words("\n".join(texts))
        rules = [rule for path in self.replaced for rule in stylesheets.keep(stylesheets.read(folder / path), known)]
        css = f"/* Of {', '.join(self.replaced)} */\n{stylesheets.embed(rules, folder / '_static')}"
        (folder / STYLESHEET).write_text(css, "utf-8")
        return hashlib.sha256(css.encode()).hexdigest()[:8]

    def offer(self, app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
        # For _templates/layout.html. The search page adds scripts of its own that need the others at once.
        context["lean"] = drop if pagename == "search" else lean
        context["restyle"] = partial(self.restyle, context["pathto"](STYLESHEET, 1))

    def finish(self, app: Sphinx, exception: Exception | None) -> None:
        if exception or not self.replaced:
            return
        folder = Path(app.outdir)
        pages = {path: page for path in folder.rglob("*.html") if STYLESHEET in (page := path.read_text("utf-8"))}
        for path, page in pages.items():
            pages[path] = patient(outside(sparse(page), path.parent, folder / "_images"), path.parent)
        version = self.write(folder, pages)
        for path, page in pages.items():
            path.write_text(NAMED.sub(rf'\1?v={version}"', page), "utf-8")


def setup(app: Sphinx) -> dict:
    stylesheet = Stylesheet()
    app.connect("html-page-context", stylesheet.offer)
    app.connect("build-finished", stylesheet.finish, priority=900)  # last: the theme writes styles then, too
    return {"parallel_read_safe": True, "parallel_write_safe": False}

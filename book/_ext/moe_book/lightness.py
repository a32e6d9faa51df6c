"""Leaves a page little to load before it is drawn, on a slow phone too; _templates/layout.html does the rest.

One stylesheet is asked for, not nine; scripts wait for the text; what no page uses is not loaded. Pictures load when
they come near, and have their room from the start.
"""

import base64
import hashlib
import re
import shutil
from functools import partial
from pathlib import Path

import imageio_ffmpeg
import imagesize
from sphinx.application import Sphinx

# Jupyter Book loads what would run cells in the page and what draws tabs, cards and folds of its own; we have none.
UNUSED = re.compile("thebe|togglebutton|design")
FIRST = ["_static/basic.css", "_static/styles/pydata-sphinx-theme.css"]  # before those that Sphinx lists
JOINED = "_static/styles/book.css"
INLINE = re.compile(r'"data:(?:image|video)/(\w+);base64,([^"]{1000,})"')
PICTURE = re.compile(
    r'<(?:img|video)\b(?![^>]*\bwidth=)[^>]*?(?:>\s*<source\b[^>]*?)?\bsrc="(?:\.\./)*_images/([^"]+)"'
)


def join(out: Path, names: list[str]) -> None:
    """Writes one stylesheet of several, and a checksum of it into the pages that name it."""
    css = b""
    for name in names:
        text = (out / name).read_text("utf-8")
        if "/styles/" not in name:  # what it refers to has another address from there
            text = re.sub(r"url\((?![\"']?data:)([\"']?)", r"url(\1../", text)
        css += f"/* {name} */\n{text}\n".encode()
    (out / JOINED).write_bytes(css)
    version = hashlib.sha256(css).hexdigest()[:8]
    for page in out.glob("*.html"):
        page.write_bytes(re.sub(rb'(book\.css)(\?v=\w+)?"', rb'\1?v=%b"' % version.encode(), page.read_bytes()))


def outside(body: str, folder: Path, address: str) -> str:
    """A page with its films and large pictures in files of their own, in a folder that has this address from there."""

    def save(inline: re.Match) -> str:
        data = base64.b64decode(inline[2])
        name = f"{hashlib.sha256(data).hexdigest()}.{inline[1]}"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
        return f'"{address}/{name}"'

    return INLINE.sub(save, body)


def patient(body: str, files: dict[str, Path], folder: Path) -> str:
    """A page whose pictures load when they come near; they and its films have their room from the start."""

    def reserve(tag: re.Match) -> str:
        path, film = files.get(tag[1], folder / tag[1]), tag[0].startswith("<video")
        width, height = map(round, next(imageio_ffmpeg.read_frames(path))["size"] if film else imagesize.get(path))
        lazy = "" if film else ' loading="lazy" decoding="async"'
        return f'{tag[0][: 6 if film else 4]}{lazy} width="{width}" height="{height}"{tag[0][6 if film else 4 :]}'

    return PICTURE.sub(reserve, body)


def _lighten(sheets: list, app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    scripts = [script for script in context["script_files"] if not UNUSED.search(f"{script} {script.attributes}")]
    for script in scripts:  # all but what scripts inside the page refer to while it is read
        if script.filename and "documentation_options" not in str(script.filename):
            script.attributes["defer"] = "defer"
    sheets[:] = [*FIRST, *(str(css.filename) for css in context["css_files"] if not UNUSED.search(str(css.filename)))]
    context |= {"script_files": scripts, "css_files": [], "stylesheet": JOINED}
    if "body" in context:
        images = Path(app.outdir) / "_images"
        files = {name: Path(app.srcdir) / source for source, name in app.builder.images.items()}
        context["body"] = patient(outside(context["body"], images, context["pathto"]("_images", 1)), files, images)


def _join(sheets: list, app: Sphinx, exception: Exception | None) -> None:
    if sheets and not exception:
        join(Path(app.outdir), sheets)
        first = Path(app.outdir, f"{app.config.root_doc}.html")
        shutil.copy(first, first.with_name("index.html"))  # the page itself, not a redirect to it


def setup(app: Sphinx) -> dict:
    sheets: list[str] = []
    app.connect("html-page-context", partial(_lighten, sheets), priority=900)
    app.connect("build-finished", partial(_join, sheets), priority=900)  # the theme writes styles then, too
    return {"parallel_read_safe": True, "parallel_write_safe": False}

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

import imagesize
from sphinx.application import Sphinx

# Jupyter Book loads what would run cells in the page and what draws tabs, cards and folds of its own; we have none.
UNUSED = re.compile("thebe|togglebutton|design")
FIRST = ["_static/basic.css", "_static/styles/pydata-sphinx-theme.css"]  # before those that Sphinx lists
JOINED = "_static/styles/book.css"
INLINE = re.compile(r'"data:(?:image|video)/(\w+);base64,([^"]{1000,})"')
PICTURE = re.compile(r'<(img|video)\b(?![^>]*\bwidth=)[^>]*?\b(?:src|poster)="_images/([^"]+)"')


def join(out: Path, names: list[str]) -> None:
    """Writes one stylesheet of several; the files beside them have another address from there."""
    texts = [re.sub(r"url\((?=\w+\.)", "url(../", (out / name).read_text("utf-8")) for name in names]
    (out / JOINED).write_text("\n".join(texts), "utf-8")


def lighten(page: Path) -> None:
    """Gives films and large pictures their own files; pictures wait, and all have their room: a film its poster's."""
    images = page.with_name("_images")

    def save(inline: re.Match) -> str:
        data = base64.b64decode(inline[2])
        name = f"{hashlib.sha256(data).hexdigest()}.{inline[1]}"
        (images / name).write_bytes(data)
        return f'"_images/{name}"'

    def reserve(found: re.Match) -> str:
        tag, (width, height) = found[1], imagesize.get(images / found[2])
        lazy = ' loading="lazy" decoding="async"' if tag == "img" else ""
        return f'<{tag}{lazy} width="{width:.0f}" height="{height:.0f}"{found[0].removeprefix(f"<{tag}")}'

    page.write_text(PICTURE.sub(reserve, INLINE.sub(save, page.read_text("utf-8"))), "utf-8")


def _wait(sheets: list, app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    scripts = [script for script in context["script_files"] if not UNUSED.search(f"{script} {script.attributes}")]
    for script in scripts:  # all but what scripts inside the page refer to while it is read
        if script.filename and "documentation_options" not in str(script.filename):
            script.attributes["defer"] = "defer"
    context["script_files"] = scripts
    sheets[:] = [*FIRST, *(str(css.filename) for css in context["css_files"] if not UNUSED.search(str(css.filename)))]


def _finish(sheets: list, app: Sphinx, exception: Exception | None) -> None:
    if sheets and not exception:
        out = Path(app.outdir)
        join(out, sheets)
        for page in out.glob("*.html"):
            lighten(page)
        shutil.copy(out / f"{app.config.root_doc}.html", out / "index.html")  # the page itself, not a redirect to it


def setup(app: Sphinx) -> None:
    sheets: list[str] = []
    app.connect("html-page-context", partial(_wait, sheets), priority=900)
    app.connect("build-finished", partial(_finish, sheets), priority=900)  # the theme writes styles then, too

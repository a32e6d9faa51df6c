"""What a page says of itself, to search engines, to readers with little time, and to screen readers.

Cards to be shared with and the sitemap are the work of sphinxext-opengraph and sphinx-sitemap; _config.yml sets them.
"""

import html
import json
import re
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

LONGEST = 200  # characters of a description: search engines show about that many
OF_NO_SOURCE = {
    "genindex": "Every name of the library of this book, from A to Z, each with a link to what it does.",
    "search": "Search the book: mixtures of experts and variational autoencoders that sort digits without labels.",
}
PROMISE = "the running time is at the end"  # what readers of Jupyter and Colab see
MENDED = (
    # The corner of a table above its row names is no heading of anything.
    (re.compile(r"<th\b[^>]*>\s*(?:<p>\s*</p>)?\s*</th>"), "<td></td>"),
    # ARIA dropped this role; the list around the references wants list items.
    (re.compile(r'role="doc-biblioentry"'), 'role="listitem"'),
)


def describe(doctree: nodes.document) -> str:
    """The first paragraph of a page that says something, up to the end of a sentence or word."""
    for paragraph in doctree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        tells = len(text) > 60 and "\\" not in text and not text.startswith("Reading time")
        if tells and isinstance(paragraph.parent, nodes.section):
            whole = re.match(rf".{{60,{LONGEST}}}[.?!](?= |$)", text)
            return whole[0] if whole else text[:LONGEST].rpartition(" ")[0] + " …"
    return ""


def running_time(run: dict) -> str:
    """A recorded run in words."""
    time = f"{run['seconds'] / 60:.0f} minutes" if run["seconds"] >= 90 else f"{run['seconds']:.0f} seconds"
    return f"running time about {time} ({run['device'].replace('cpu', 'CPU')})"


def mend(body: str) -> str:
    """A page without what screen readers stumble over and neither our sources nor CSS can reach."""
    for wrong, right in MENDED:
        body = wrong.sub(right, body)
    return body


def _time(app: Sphinx, doctree: nodes.document) -> None:
    promises = [text for text in doctree.findall(nodes.Text) if PROMISE in text]
    if promises and (path := Path(doctree["source"])).suffix == ".ipynb":
        outputs = [out for cell in json.loads(path.read_text("utf-8"))["cells"] for out in cell.get("outputs", [])]
        for run in [out["metadata"]["moe_run"] for out in outputs if "moe_run" in out.get("metadata", {})]:
            promises[0].parent.replace(promises[0], nodes.Text(promises[0].replace(PROMISE, running_time(run))))


def _tell(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None) -> None:
    if description := describe(doctree) if doctree else OF_NO_SOURCE.get(pagename):
        tag = f'<meta name="description" content="{html.escape(description)}">'
        context["metatags"] = f"{context.get('metatags', '')}\n{tag}\n"
        context["meta"] = (context.get("meta") or {}) | {"og:description": html.escape(description, quote=False)}
    if "body" in context:
        context["body"] = mend(context["body"])


def setup(app: Sphinx) -> dict:
    app.connect("doctree-read", _time)
    app.connect("html-page-context", _tell, priority=400)  # before the cards are written
    return {"parallel_read_safe": True, "parallel_write_safe": True}

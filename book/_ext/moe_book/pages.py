"""What a page says of itself to search engines, and what its sources and its theme leave to be done in it."""

import re
from html import escape
from textwrap import shorten

from docutils import nodes
from moe_book import exercises
from sphinx.application import Sphinx

LONGEST = 200  # characters of a description: search engines show about that many
NUMBER = re.compile(r"[-+]?\d([^a-z]|\b(to|of|nats|n)\b|e-)*", re.IGNORECASE)  # 0.7; 63.0% ± 6.0%; 5 of 10; 1.2e-05
MENDED = (  # where neither our sources nor CSS reach
    (exercises.QUESTION, exercises.offer),
    # The corner of a table above its row names is no heading of anything.
    (re.compile(r"<th\b[^>]*>\s*(?:<p>\s*</p>)?\s*</th>"), "<td></td>"),
    # ARIA dropped this role; the list around the references wants list items.
    (re.compile(r'role="doc-biblioentry"'), 'role="listitem"'),
)


def describe(doctree: nodes.document) -> str:
    """The beginning of the first paragraph of a page that says something."""
    texts = [part.astext() for part in doctree.findall(nodes.paragraph) if isinstance(part.parent, nodes.section)]
    return next((shorten(text, LONGEST, placeholder=" …") for text in texts if len(text) > 60), "")


def align(doctree: nodes.document) -> None:
    """Moves the columns of tables to the right in which most cells are numbers."""
    for table in doctree.findall(nodes.tgroup):
        for heading, *cells in zip(*(row.children for row in table.findall(nodes.row)), strict=False):
            if sum(bool(NUMBER.fullmatch(cell.astext())) for cell in cells) > len(cells) / 2:
                for cell in (heading, *cells):
                    cell["classes"].append("text-right")


def _tell(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: nodes.document | None) -> None:
    if doctree and (description := escape(describe(doctree))):
        context["metatags"] += f'<meta name="description" content="{description}">\n'
        context["meta"] = (context["meta"] or {}) | {"og:description": description}
    for wrong, right in MENDED:
        context["body"] = wrong.sub(right, context.get("body", ""))


def setup(app: Sphinx) -> None:
    app.connect("doctree-read", lambda app, doctree: align(doctree))
    app.connect("html-page-context", _tell, priority=400)  # before the cards are written

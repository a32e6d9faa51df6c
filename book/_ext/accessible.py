"""Mends, in the HTML of every page, what screen readers stumble over and neither our sources nor CSS can reach."""

import re

from sphinx.application import Sphinx

MENDED = (
    # The corner of a table above its row names is no heading of anything.
    (re.compile(r"<th\b[^>]*>\s*(?:<p>\s*</p>)?\s*</th>"), "<td></td>"),
    # ARIA dropped this role; the list around the references wants list items.
    (re.compile(r'role="doc-biblioentry"'), 'role="listitem"'),
)


def mend(html: str) -> str:
    """The body of a page with each of the above mended."""
    for wrong, right in MENDED:
        html = wrong.sub(right, html)
    return html


def _mend_page(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    if "body" in context:
        context["body"] = mend(context["body"])


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", _mend_page)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Takes out of the head of every page what the book does not use, and lets the rest wait for the text.

The theme and Jupyter Book load more than a megabyte of scripts before a page is drawn. Of these, Thebe would run cells
in the page (its button is off, and loaded twice it fails), and Font Awesome's script draws what its fonts draw too.
"""

import re

from sphinx.application import Sphinx

UNUSED = re.compile(
    r"""\s*<script\b[^>]*(?:/fontawesome\.js|sphinx-thebe)[^>]*></script>|\s*<script>const THEBE.*?</script>"""
)
UNUSED_STYLE = re.compile(r"\s*<link\b[^>]*sphinx-thebe[^>]*>")
# All but the one that scripts inside the page refer to while it is read.
WAITING = re.compile(r"<script(?![^>]*\b(?:async|defer)\b)(?=[^>]*\ssrc=)(?![^>]*documentation_options)")


def drop(head: str) -> str:
    """A part of a page's head without what is unused."""
    return UNUSED_STYLE.sub("", UNUSED.sub("", head))


def lean(head: str) -> str:
    """The same with its scripts deferred; their order stays."""
    return WAITING.sub("<script defer", drop(head))


def _offer(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    # Called in _templates/layout.html. The search page adds scripts of its own that need the others at once.
    context["lean"] = drop if pagename == "search" else lean


def setup(app: Sphinx) -> dict:
    app.connect("html-page-context", _offer)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

"""Typesets every formula while the book is built: a page shows its math without a script, a font or a stylesheet.

MathJax does it, as it would in the browser: a formula becomes SVG for the eye and MathML for screen readers. All
formulas of the book go through one MathJax: what one of them defines, as by \\newcommand, holds for the later ones.
"""

import atexit
import json
import re
from functools import cache
from importlib.resources import files
from pathlib import Path

from docutils import nodes
from py_mini_racer import MiniRacer
from sphinx.application import Sphinx
from sphinx.util.logging import getLogger
from sphinx.writers.html5 import HTML5Translator

MATHJAX = Path(str(files("sphinx-mathjax-offline"))) / "static" / "mathjax"
REJECTED = re.compile(r'data-mjx-error="([^"]*)"')


@cache
def _mathjax() -> MiniRacer:
    """MathJax in a JavaScript engine."""
    engine = MiniRacer()
    atexit.register(engine.close)  # while its thread can still answer
    scripts = {path.relative_to(MATHJAX).as_posix(): path.read_text("utf-8") for path in MATHJAX.rglob("*.js")}
    engine.eval(f"const FILES = {json.dumps(scripts)}; {Path(__file__).with_name('typeset.js').read_text('utf-8')}")
    engine.eval("ready").get(timeout=600)
    return engine


@cache
def typeset(tex: str, display: bool) -> str:
    """A formula as HTML; `display` gives it a line of its own."""
    html = _mathjax().call("typeset", tex, display)
    # What is too wide for a phone scrolls, by keyboard too, and without a script in the page.
    return html.replace(" ", ' tabindex="0" role="group" aria-label="formula" ', 1) if display else html


def _visit(writer: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
    display = isinstance(node, nodes.math_block)
    html = typeset(node.astext(), display)
    if error := REJECTED.search(html):
        getLogger(__name__).warning("MathJax rejects %r: %s", node.astext(), error[1], location=node)
    tag = "div" if display else "span"
    writer.body.append(f"{writer.starttag(node, tag, '', CLASS='math notranslate nohighlight')}{html}</{tag}>")
    raise nodes.SkipNode


def setup(app: Sphinx) -> None:
    app.add_html_math_renderer("typeset", (_visit, None), (_visit, None))

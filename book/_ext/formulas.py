"""Typesets every formula while the book is built: a page shows its math without a script, and nothing moves.

MathJax does it, as it would in the browser: a formula becomes HTML for the eye and MathML for screen readers. Its signs
come from fonts that hold what the book uses and no more, inside one small stylesheet.

All formulas of the book go through one MathJax: what one of them defines, as by \\newcommand, holds for the later ones.
"""

import atexit
import json
import re
from functools import cache
from importlib.resources import files
from pathlib import Path

import stylesheets
from docutils import nodes
from py_mini_racer import MiniRacer
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.logging import getLogger
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

MATHJAX = Path(str(files("sphinx-mathjax-offline"))) / "static" / "mathjax"
STYLESHEET = "formulas.css"
REJECTED = re.compile(r'data-mjx-error="([^"]*)"')


@cache
def _mathjax() -> MiniRacer:
    """MathJax in a JavaScript engine; it remembers which signs it has used."""
    engine = MiniRacer()
    atexit.register(engine.close)  # while its thread can still answer
    scripts = {path.relative_to(MATHJAX).as_posix(): path.read_text("utf-8") for path in MATHJAX.rglob("*.js")}
    engine.eval(f"const FILES = {json.dumps(scripts)};")
    engine.eval(Path(__file__).with_name("typeset.js").read_text("utf-8"))
    engine.eval("ready").get(timeout=60)
    return engine


@cache
def typeset(tex: str, display: bool) -> str:
    """A formula as HTML; `display` gives it a line of its own."""
    return _mathjax().call("typeset", tex, display)


def stylesheet(html: str) -> str:
    """What these typeset formulas need to be seen as MathJax means them."""
    rules = stylesheets.parse(_mathjax().call("stylesheet"))
    return stylesheets.embed(stylesheets.keep(rules, stylesheets.words(html)), MATHJAX)


def _is_math(node: nodes.Node) -> bool:
    return isinstance(node, nodes.math | nodes.math_block)


def _html(node: nodes.math | nodes.math_block) -> str:
    """A formula of a page as HTML; lines of one that has several are aligned, as Sphinx has it."""
    tex, display = node.astext(), isinstance(node, nodes.math_block)
    if display and not node.get("nowrap"):
        tex = r"\\".join(part for part in re.split(r"\n\s*\n", tex) if part.strip())
        tex = rf"\begin{{split}}{tex}\end{{split}}" if r"\\" in tex and r"\begin" not in tex else tex
    return typeset(tex, display)


def _write_stylesheet(app: Sphinx, env: BuildEnvironment) -> None:
    # Before any page is written, because pages name it together with a checksum.
    pages = [env.get_doctree(page) for page in sorted(env.found_docs)] if app.builder.format == "html" else []
    formulas = [node for page in pages for node in page.findall(_is_math)]
    if formulas:
        path = Path(app.outdir) / "_static" / STYLESHEET
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(stylesheet("".join(map(_html, formulas))), "utf-8")


def _link_stylesheet(app: Sphinx, pagename: str, templatename: str, context: dict, doctree: object) -> None:
    if app.env.get_domain("math").has_equations(pagename):
        app.add_css_file(STYLESHEET)


def _visit(writer: HTML5Translator, node: nodes.math | nodes.math_block) -> None:
    html = _html(node)
    if error := REJECTED.search(html):
        getLogger(__name__).warning("MathJax rejects %r: %s", node.astext(), error[1], location=node)
    tag = "div" if isinstance(node, nodes.math_block) else "span"
    writer.body.append(writer.starttag(node, tag, "", CLASS="math notranslate nohighlight"))
    if node.get("number"):
        writer.body.append(f'<span class="eqno">({get_node_equation_number(writer, node)})')
        writer.add_permalink_ref(node, "Link to this equation")
        writer.body.append("</span>")
    writer.body.append(f"{html}</{tag}>")
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict:
    app.add_html_math_renderer("formulas", (_visit, None), (_visit, None))
    app.connect("env-updated", _write_stylesheet)
    app.connect("html-page-context", _link_stylesheet)
    return {"parallel_read_safe": True, "parallel_write_safe": False}

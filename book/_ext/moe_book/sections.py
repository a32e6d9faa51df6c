"""Writes every section and glossary entry into a script that _extra/search/search.js searches, from a file too."""

import json
from pathlib import Path

from docutils import nodes
from sphinx.application import Sphinx

UNREAD = (nodes.title, nodes.section, nodes.raw, nodes.image, nodes.math, nodes.math_block, nodes.literal_block)


def text_of(node: nodes.Node) -> str:
    """What a reader reads of a part of a page, without the sections in it, its code and its formulas."""
    read = [child for child in node.children if not isinstance(child, UNREAD)]
    return node.astext() if isinstance(node, nodes.Text) else " ".join(" ".join(map(text_of, read)).split())


def entries(page: str, doctree: nodes.document) -> list[tuple[str, str, str, str]]:
    """Page, anchor, heading and text of its sections and of the terms that it defines; the first has no anchor."""
    parts = [(node, node[0].astext(), node) for node in doctree.findall(nodes.section)]
    parts += [(node, node.astext(), node.parent) for node in doctree.findall(nodes.term) if node["ids"]]
    return [(page, node["ids"][0] if i else "", title, text_of(told)) for i, (node, title, told) in enumerate(parts)]


def _write(app: Sphinx, exception: Exception | None) -> None:
    if not exception:
        found = [entry for page in sorted(app.env.found_docs) for entry in entries(page, app.env.get_doctree(page))]
        text = f"const SECTIONS = {json.dumps(found, ensure_ascii=False, separators=(',', ':'))};\n"
        Path(app.outdir, "search", "sections.js").write_text(text, "utf-8")


def setup(app: Sphinx) -> None:
    app.connect("build-finished", _write)

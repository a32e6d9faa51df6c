"""Says at the top of each chapter how long it takes: to read, and to run.

A chapter's own line, "*Reading time about 15 minutes; the running time stands at the end.*", is what readers of Jupyter
and Colab see. In the built book the running time of the recorded run takes the place of its second half; a chapter
without such a line is given one.
"""

import re
import sys
from pathlib import Path

import nbformat
from docutils import nodes
from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from execute import recorded_run

WORDS_A_MINUTE, FIGURES_A_MINUTE, FORMULAS_A_MINUTE = 200, 2, 3
PROMISE = re.compile(r"Reading time about (\d+) minutes; (the running time stands at the end)\.")


def reading_minutes(doctree: nodes.document) -> int:
    """Minutes to read a page: its words, without code and tables, its figures and its displayed formulas."""
    code_and_tables = (nodes.literal_block, nodes.table)
    words = sum(
        len(node.astext().split())
        for node in doctree.findall(nodes.paragraph)
        if not any(isinstance(above, code_and_tables) for above in ancestors(node))
    )
    figures, formulas = len(list(doctree.findall(nodes.image))), len(list(doctree.findall(nodes.math_block)))
    return max(1, round(words / WORDS_A_MINUTE + figures / FIGURES_A_MINUTE + formulas / FORMULAS_A_MINUTE))


def ancestors(node: nodes.Node) -> list[nodes.Node]:
    return [node.parent, *ancestors(node.parent)] if node.parent else []


def running_time(run: dict) -> str:
    """The recorded run in words."""
    seconds = run["seconds"]
    time = f"{seconds / 60:.0f} minutes" if seconds >= 90 else f"{seconds:.0f} seconds"
    return f"running time about {time} ({run['device'].replace('cpu', 'CPU')})"


def _say(app: Sphinx, doctree: nodes.document) -> None:
    path = Path(doctree["source"])
    run = recorded_run(nbformat.read(path, as_version=4)) if path.suffix == ".ipynb" else None
    if run is None:
        return
    for text in list(doctree.findall(nodes.Text)):
        if promise := PROMISE.search(text):
            text.parent.replace(text, nodes.Text(text.replace(promise[2], running_time(run))))
            return
    line = nodes.emphasis("", f"Reading time about {reading_minutes(doctree)} minutes; {running_time(run)}.")
    badge = next(iter(doctree.findall(nodes.paragraph)))
    badge.parent.insert(badge.parent.index(badge) + 1, nodes.paragraph("", "", line))


def setup(app: Sphinx) -> dict:
    app.connect("doctree-read", _say)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

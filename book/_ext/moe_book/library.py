"""Writes the page of the library when the book is built, and links it and the chapters with one another.

It walks the package: the core first, then each room, and of every module the first sentence and the public names that
have a docstring. What a name does is told by autodoc; which chapters use it, by their code.
"""

import ast
import json
import re
import sys
from collections.abc import Iterator
from functools import cache
from importlib import import_module
from pathlib import Path
from textwrap import indent

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util.nodes import make_refnode

ROOT = Path(__file__).resolve().parents[3]
sys.path.insert(0, str(ROOT))  # the library of this checkout, installed or not
MARK = "<!-- the library -->"

from moe_lib.records.provenance import MAGIC, code_of  # noqa: E402


def rooms(root: Path) -> Iterator[tuple[str, list[str]]]:
    """A package and, after it, those inside: their names, and those of their modules."""
    for folder in [root, *sorted(path for path in root.iterdir() if any(path.glob("*.py")))]:
        name = ".".join(folder.relative_to(root.parent).parts)
        yield name, [f"{name}.{path.stem}" for path in sorted(folder.glob("*.py")) if path.stem[0] != "_"]


def job(name: str) -> str:
    """The first sentence of a module's docstring."""
    return re.split(r"(?<=\.)\s|\n\n", (import_module(name).__doc__ or "").strip())[0]


def public(module: str) -> dict[str, object]:
    """What a module gives to readers: what its package exports of it and its types, or else all that is documented."""
    own = {n: v for n, v in vars(import_module(module)).items() if getattr(v, "__module__", "") == module and v.__doc__}
    package = module.rpartition(".")[0]
    exported = {n for n, v in own.items() if getattr(import_module(package), n, None) is v}
    kept = [n for n, v in own.items() if n[0] != "_" and (not exported or n in exported or isinstance(v, type))]
    return {f"{package if n in exported else module}.{n}": own[n] for n in kept}


@cache
def entries(root: Path = ROOT / "moe_lib") -> dict[str, object]:
    """What the page has an entry for."""
    return {name: value for _, modules in rooms(root) for module in modules for name, value in public(module).items()}


def uses(path: Path) -> list[str]:
    """The entries that the code of a chapter imports, or calls by their module."""
    tree, scope = ast.parse(MAGIC.sub(r"\1pass", "\n".join(code_of(path)))), {}
    imports = [ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    exec("\n".join(line for line in imports if "moe_lib" in line), scope)
    parts = [ast.unparse(node).rpartition(".") for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    used = [*scope.values(), *(getattr(scope[module], name, None) for module, _, name in parts if module in scope)]
    return [name for name, value in entries().items() if any(value is one for one in used)]


def reference(root: Path, readers: dict[str, list[str]]) -> str:
    """The whole reference, as MyST Markdown; `readers` are the names that each chapter uses."""
    text = []
    for room, modules in rooms(root):
        text += [f"## `{room}`", "", job(room), ""]
        for module in modules:
            text += [f"### `{module.rpartition('.')[2]}`", "", job(module), ""]
            for name, value in public(module).items():
                kind = "class" if isinstance(value, type) else "function"
                where = ", ".join(f":doc:`{page}`" for page, names in readers.items() if name in names)
                text += ["```{eval-rst}", f".. auto{kind}:: {name}", *(["   :members:"] if kind == "class" else []), ""]
                text += [*([f"   Used in {where}."] if where else []), "```", ""]
    return "\n".join(text)


def translate(text: str, pages: list[str]) -> str:
    """A docstring with links to the chapters and papers that it names; lines of formulas stand as they are typed."""
    chapters = {page.split("_")[0].lstrip("0"): page for page in pages if re.match(r"\d+_", page)}

    def link(named: re.Match) -> str:
        return f":doc:`{named[0]} <{chapters[named[1]]}>`" if named[1] in chapters else named[0]

    def formulas(part: str) -> bool:
        lines = part.split("\n")
        return all(re.search(r"^[^:.].* {2,}\S", line) and not re.search(r"(\b[a-z]{2,} ){2}", line) for line in lines)

    mention, each = r"\b[Cc]hapters?\s\d+(\sand\s\d+)?\b", r"(?:[Cc]hapters?\s)?(\d+)"
    text = re.sub(mention, lambda found: re.sub(each, link, found[0]), text)
    text = re.sub(r"\barXiv:(\d{4}\.\d{4,5})", r"`arXiv:\1 <https://arxiv.org/abs/\1>`__", text)
    parts = [f"::\n\n{indent(p, '   ')}" if formulas(p) else p.replace("|", r"\|") for p in text.split("\n\n")]
    return "\n\n".join(parts)


def _write(app: Sphinx, docname: str, source: list[str]) -> None:
    path = Path(app.env.doc2path(docname))
    if MARK in source[0]:
        readers = {path.stem: uses(path) for path in sorted(Path(app.srcdir).glob("*.ipynb"))}
        source[0] = source[0].replace(MARK, reference(ROOT / "moe_lib", readers))
    elif path.suffix == ".ipynb":
        names = ", ".join(f"{{py:obj}}`{name}`" for name in uses(path))
        line = f":::{{container}} library-names\nFrom the library, in this chapter: {names}.\n:::"
        chapter = json.loads(source[0])
        chapter["cells"].append({"cell_type": "markdown", "id": "library-names", "metadata": {}, "source": line})
        source[0] = json.dumps(chapter)


def _translate(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    lines[:] = translate("\n".join(lines), list(app.env.found_docs)).split("\n")


def _find(app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.Element) -> nodes.Element | None:
    """A name that a docstring gives without its package, if there is one such entry; what has none stays plain."""
    name, objects = node["reftarget"], env.domains["py"].objects
    if len(found := [entry for full, entry in objects.items() if full.endswith(f".{name}")]) == 1:
        return make_refnode(app.builder, node["refdoc"], found[0].docname, found[0].node_id, text)
    return text if hasattr(sys.modules.get(name.rpartition(".")[0]), name.rpartition(".")[2]) else None


def setup(app: Sphinx) -> None:
    app.connect("source-read", _write)
    app.connect("autodoc-process-docstring", _translate, priority=600)  # after napoleon
    app.connect("autodoc-skip-member", lambda app, what, name, obj, *_: type(obj).__name__ == "_tuplegetter" or None)
    app.connect("missing-reference", _find)

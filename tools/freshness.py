"""Is a committed chapter still what its code gives?

A chapter is stale when its code cells, the definitions of moe_lib that it reaches, or the results files that it reads
have changed since it was run. Comments, docstrings and definitions that it does not reach do not matter.
"""

import ast
import hashlib
import io
import json
import re
import tokenize
from functools import cache
from pathlib import Path

import nbformat

ROOT = Path(__file__).parent.parent
BOOK = ROOT / "book"
MAGIC = re.compile(r"(?m)^(\s*)[%!][a-z].*$")  # %pip install …: no Python, and nothing that outputs depend on
Key = tuple[str, str]  # of a definition: its module and its name
ADDRESS = re.compile(r"github\.com/[\w.-]+/[\w.-]+?(?=[/\"'\s]|\.git|$)")


def chapters() -> list[Path]:
    """The book's notebooks, the introduction last: it shows what the others found."""
    return sorted(BOOK.glob("*.ipynb"), key=lambda path: (path.stem == "intro", path.stem))


def code_of(notebook: nbformat.NotebookNode) -> list[str]:
    """The code cells of a notebook."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def fingerprint(notebook: nbformat.NotebookNode) -> dict:
    """What the outputs of a notebook depend on, hashed."""
    code, tree = "\n".join(code_of(notebook)), _parsed(notebook)
    words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    own = {
        node.args[0].value for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) == "Chapter"
    }
    files = [path for path in sorted((BOOK / "results").glob("*.json")) if path.stem in words - own]
    return {
        "cells": _hash(ADDRESS.sub("github.com/OWNER/NAME", code)),
        "library": _hash("\n".join(_definitions()[key][0] for key in sorted(reached(notebook)))),
        "results": {path.stem: _hash(_outcome(path)) for path in files},
    }


def stale(path: Path) -> str | None:
    """Why a chapter must run again, or None."""
    notebook = nbformat.read(path, as_version=4)
    recorded = notebook.metadata.get("moe")
    if not recorded:
        return "it has never been run in full"
    now = fingerprint(notebook)
    changed = [part for part, value in now.items() if recorded["fingerprint"].get(part) != value]
    return f"its {' and '.join(changed)} changed since it was run" if changed else None


def reached(notebook: nbformat.NotebookNode) -> set[Key]:
    """The definitions of moe_lib that a notebook leads to, directly or through one another."""
    tree = _parsed(notebook)
    found, frontier = set(), _meant(tree, _imported(tree))
    while frontier:
        found |= frontier
        frontier = set().union(*(_meant(_definitions()[key][1], _scope(key[0])) for key in frontier)) - found
    return found


def _parsed(notebook: nbformat.NotebookNode) -> ast.AST:
    return ast.parse(MAGIC.sub(r"\1pass", "\n".join(code_of(notebook))))


def _outcome(path: Path) -> str:
    """What a results file says, without when it was made and how long it took."""
    runs = json.loads(path.read_text())["runs"]
    return json.dumps([[run["seed"], run["config"], run["metrics"]] for run in runs])


def _name(node: ast.AST) -> str:
    return getattr(node, "id", getattr(node, "attr", ""))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _meant(tree: ast.AST, scope: dict[str, Key]) -> set[Key]:
    """The definitions that a piece of code names, as `name` or as `module.name`."""
    names = {ast.unparse(node) for node in ast.walk(tree) if isinstance(node, ast.Name | ast.Attribute)}
    return {scope[name] for name in names if name in scope}


def _imported(tree: ast.AST) -> dict[str, Key]:
    """What each name means that a piece of code has from moe_lib, as `name` or as `module.name`."""
    found: dict[str, Key] = {}
    for node in ast.walk(tree):
        modules: dict[str, str | None] = {}
        if isinstance(node, ast.Import):
            modules = {alias.asname or alias.name: _module(alias.name) for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (source := _module(node.module or "")):
            offered = _offered(source)
            found |= {alias.asname or alias.name: offered[alias.name] for alias in node.names if alias.name in offered}
            modules = {alias.asname or alias.name: alias.name for alias in node.names if _path(alias.name).is_file()}
        for name, module in modules.items():
            found |= {f"{name}.{inner}": key for inner, key in _offered(module).items()} if module else {}
    return found


def _module(dotted: str) -> str | None:
    """The module of moe_lib that an import means, or None if it is none of them."""
    package, _, module = dotted.partition(".")
    return (module or "__init__") if package == "moe_lib" else None


@cache
def _offered(module: str) -> dict[str, Key]:
    """What can be had from a module of moe_lib: what it defines, and from the package what that imports."""
    own = {name: (home, name) for home, name in _definitions() if home == module}
    return own | _imported(_tree(module)) if module == "__init__" else own


@cache
def _scope(module: str) -> dict[str, Key]:
    """What each name means inside a module of moe_lib."""
    return _imported(_tree(module)) | _offered(module)


def _tree(module: str) -> ast.AST:
    return ast.parse(_path(module).read_text())


def _path(module: str) -> Path:
    return ROOT / "moe_lib" / f"{module}.py"


@cache
def _definitions() -> dict[Key, tuple[str, ast.AST]]:
    """Everything that moe_lib defines at top level → its bare source, and its tree."""
    found = {}
    for path in sorted((ROOT / "moe_lib").glob("*.py")):
        source = path.read_text()
        for node in ast.parse(source).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                names = [node.name]
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                names = [target.id for target in targets if isinstance(target, ast.Name)]
            else:
                continue
            for name in names:
                found[path.stem, name] = (_bare(source, node), node)
    return found


def forget() -> None:
    """Reads the library again at the next question."""
    _definitions.cache_clear()
    _offered.cache_clear()
    _scope.cache_clear()


def _bare(source: str, node: ast.AST) -> str:
    """The source of a definition without comments, docstrings and blank lines."""
    first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
    lines = source.splitlines()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1][:column]
    for inner in ast.walk(node):
        if isinstance(inner, ast.Expr) and isinstance(inner.value, ast.Constant) and isinstance(inner.value.value, str):
            for row in range(inner.lineno - 1, inner.end_lineno):
                lines[row] = ""
    return "\n".join(line.rstrip() for line in lines[first - 1 : node.end_lineno] if line.strip())

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
APART = {"answers", "exercises", "questions", "truths"}  # judge what readers answer: no code cell asks them
ADDRESS = re.compile(r"github\.com/[\w.-]+/[\w.-]+?(?=[/\"'\s]|\.git|$)")


def chapters() -> list[Path]:
    """The book's notebooks, the introduction last: it shows what the others found."""
    return sorted(BOOK.glob("*.ipynb"), key=lambda path: (path.stem == "intro", path.stem))


def code_of(notebook: nbformat.NotebookNode) -> list[str]:
    """The code cells of a notebook."""
    return [cell.source for cell in notebook.cells if cell.cell_type == "code"]


def fingerprint(notebook: nbformat.NotebookNode) -> dict:
    """What the outputs of a notebook depend on, hashed."""
    code = "\n".join(code_of(notebook))
    tree = ast.parse(MAGIC.sub(r"\1pass", code))
    reached = _reach(_names(tree))
    words = {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    own = {
        node.args[0].value for node in ast.walk(tree) if isinstance(node, ast.Call) and _name(node.func) == "Chapter"
    }
    files = [path for path in sorted((BOOK / "results").glob("*.json")) if path.stem in words - own]
    return {
        "cells": _hash(ADDRESS.sub("github.com/OWNER/NAME", code)),
        "library": _hash("\n".join(_definitions()[key][0] for key in sorted(reached))),
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


def _outcome(path: Path) -> str:
    """What a results file says, without when it was made and how long it took."""
    runs = json.loads(path.read_text())["runs"]
    return json.dumps([[run["seed"], run["config"], run["metrics"]] for run in runs])


def _name(node: ast.AST) -> str:
    return getattr(node, "id", getattr(node, "attr", ""))


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _names(tree: ast.AST) -> set[str]:
    """Every identifier in a piece of code: an over-estimate of what it uses, which is the safe side."""
    nodes = list(ast.walk(tree))
    names = {node.id for node in nodes if isinstance(node, ast.Name)}
    names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
    return names | {alias.name for node in nodes if isinstance(node, ast.ImportFrom) for alias in node.names}


@cache
def _definitions() -> dict[tuple[str, str], tuple[str, set[str]]]:
    """(module, name) of everything that moe_lib defines at top level → its bare source and the names in it."""
    found = {}
    for path in sorted((ROOT / "moe_lib").glob("*.py")):
        if path.stem in APART:
            continue
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
                found[path.stem, name] = (_bare(source, node), _names(node))
    return found


def forget() -> None:
    """Reads the library again at the next question."""
    _definitions.cache_clear()


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


def _reach(names: set[str]) -> set[tuple[str, str]]:
    """The definitions that the names lead to, directly or through one another."""
    definitions, reached = _definitions(), set()
    frontier = names
    while frontier:
        new = {key for key in definitions if key[1] in frontier} - reached
        reached |= new
        frontier = set().union(*(definitions[key][1] for key in new)) if new else set()
    return reached

"""Are committed outputs still what the code beside them gives? One answer for chapters and for results files.

The outputs of a chapter, or of an experiment, depend on its own code, on the definitions of moe_lib that this reaches,
on the files that these name (weights, data, drawings) and on the results files that it reads. `fingerprint` hashes
them; it does not see comments, docstrings, blank lines, the order of definitions, nor in which module they live.
"""

import ast
import hashlib
import io
import json
import re
import tokenize
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]  # of the checkout; in an installed package there is none, and nothing to be stale
BOOK = ROOT / "book"
PACKAGE, RECORDS = "moe_lib", ("moe_lib.records", "moe_lib.teaching")
MAGIC = re.compile(r"(?m)^(\s*)[%!][a-z].*$")  # %pip install …: no Python, and nothing that outputs depend on
ADDRESS = re.compile(r"github\.com/[\w.-]+/[\w.-]+?(?=[/\"'\s]|\.git|$)")
Key = tuple[str, str]  # of a definition: its module and its name; the name is empty for what a module does on import
Import = tuple[str, str, str, int]  # bound name, module, name in that module ("" for the module itself), level
Fingerprint = dict[str, str | dict[str, str]]


def chapters() -> list[Path]:
    """The book's notebooks, the introduction last: it shows what the others found."""
    return sorted(BOOK.glob("*.ipynb"), key=lambda path: (path.stem == "intro", path.stem))


def code_of(path: Path) -> list[str]:
    """The code cells of a notebook."""
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def fingerprint(path: Path, entry: str = "one") -> Fingerprint:
    """What the outputs of a notebook or of a script depend on, hashed.

    Args:
        path: ROOT/book/NAME.ipynb or ROOT/experiments/NAME.py; ROOT has moe_lib and book/results beside them.
        entry: of a script, the function that makes its outputs, so that a longer list of runs changes nothing. A script
            without it counts whole.
    """
    reach = _Reach(path, entry)
    code, library = (
        "\n".join(sorted({piece.text for piece in pieces if piece.text})) for pieces in (reach.own, reach.library)
    )
    return {
        "code": _hash(ADDRESS.sub("github.com/OWNER/NAME", code).encode()),
        "library": _hash(library.encode()),
        "assets": {asset.name: _file_hash(asset) for asset in reach.assets()},
        "results": {file.stem: _outcome(file) for file in reach.results()},
    }


def stale(path: Path) -> str | None:
    """Why a chapter, or an experiment, must run again (or be verified), or None.

    Args:
        path: a notebook, which carries its fingerprint; or a script, whose results file has one, or two: of the code
            that made it, and of the code that `make verify` found to give the same.
    """
    if path.suffix == ".ipynb":
        record = json.loads(path.read_text(encoding="utf-8"))["metadata"].get("moe", {})
        recorded, what = [record.get("fingerprint")], "run in full"
    else:
        file = _root(path) / "book" / "results" / f"{path.stem}.json"
        record = json.loads(file.read_text(encoding="utf-8"))["provenance"] if file.is_file() else {}
        recorded, what = [record.get("verified", {}).get("fingerprint"), record.get("fingerprint")], "run, or verified"
    recorded = [old for old in recorded if old]
    if not recorded:
        return f"it has never been {what}"
    now = fingerprint(path)
    if now in recorded:
        return None
    return f"its {' and '.join(_changes(recorded[0], now))} changed since it was {what}"


def reached(path: Path) -> set[Key]:
    """The definitions of moe_lib that a notebook or a script leads to, directly or through one another."""
    return {(module, name) for module, name in _Reach(path, "one").keys if name and _is_library(module)}


def _changes(old: Fingerprint, new: Fingerprint) -> list[str]:
    """The parts of two fingerprints that differ, in words."""
    found = []
    for part in sorted(old.keys() | new.keys()):
        before, now = old.get(part), new.get(part)
        if isinstance(before, dict) and isinstance(now, dict):
            found += [f"{part} {name}" for name in sorted(before | now) if before.get(name) != now.get(name)]
        elif before != now:
            found.append(part)
    return found


class _Piece(NamedTuple):
    """A statement at the top of a module, or all cells of a notebook."""

    text: str
    """Its source without comments, docstrings, blank lines and imports; then what outside moe_lib its names mean."""
    binds: frozenset[str]
    chains: frozenset[tuple[str, ...]]
    """The names that it uses, `a.b.c` as (a, b, c)."""
    words: frozenset[str]
    """Its strings."""
    imports: tuple[Import, ...]
    """Those inside it."""


class _Module(NamedTuple):
    pieces: tuple[_Piece, ...]
    imports: tuple[Import, ...]
    """Those at its top."""


class _Reach:
    """What a notebook or script leads to.

    Names are resolved as Python does it, without running anything: through `from moe_lib.room import x`,
    `import moe_lib as moe`, what a room's `__init__` offers, relative imports, and imports inside functions.
    """

    def __init__(self, path: Path, entry: str) -> None:
        self.path, self.root = path, _root(path)
        self.own: list[_Piece] = []
        self.library: list[_Piece] = []
        self.keys: set[Key] = set()
        if path.suffix == ".ipynb":
            frontier = [("", piece) for piece in _read_cells("\n".join(code_of(path))).pieces]
            self.own = [piece for _, piece in frontier]
        else:
            module = self._module(path.stem)
            start = [piece for piece in module.pieces if entry in piece.binds] or module.pieces
            frontier = [(path.stem, piece) for piece in (*start, *self._effects(path.stem))]
            self.own = [piece for _, piece in frontier]
        while frontier:
            home, piece = frontier.pop()
            for module, name in self._meant(home, piece) - self.keys:
                if module.startswith(RECORDS) and path.suffix == ".py":
                    continue  # what writes a script's numbers down makes none of them
                self.keys.add((module, name))
                found = [p for p in self._module(module).pieces if (name in p.binds if name else not p.binds)]
                frontier += [(module, p) for p in found]
                (self.library if _is_library(module) else self.own).extend(found)
        self.all = [*self.own, *self.library]

    def assets(self) -> list[Path]:
        """Files of moe_lib that are named, with their suffix or where their kind of file is read."""
        words = set().union(*(piece.words for piece in self.all))
        read = "\n".join(words)
        files = sorted(path for path in (self.root / PACKAGE).rglob("*") if path.is_file() and path.suffix != ".py")
        return [
            file
            for file in files
            if not {"__pycache__", "book_results"} & set(file.parts)
            and (file.name in words or (file.stem in words and file.suffix in read))
        ]

    def results(self) -> list[Path]:
        """Results files that are read, but for its own."""
        reading = [p for p in self.all if any(chain[-1] == "load_results" for chain in p.chains)]
        words = set().union(*(piece.words for piece in reading)) - {self.path.stem}
        return [file for file in sorted((self.root / "book" / "results").glob("*.json")) if file.stem in words]

    def _effects(self, dotted: str) -> list[_Piece]:
        """What a module does on import without defining anything."""
        return [piece for piece in self._module(dotted).pieces if not piece.binds]

    def _meant(self, home: str, piece: _Piece) -> set[Key]:
        """The definitions that a piece of code names, and what their modules do on import."""
        found = set()
        for chain in piece.chains:
            target = self._imported(home, chain[0], piece.imports) or self._lookup(home, chain[0])
            for name in chain[1:]:
                if target is None or target[1]:
                    break  # a definition: what follows are its attributes
                target = self._lookup(target[0], name)
            if target and target[1]:
                found |= {target, (target[0], "")}
        return found

    def _lookup(self, dotted: str, name: str, seen: frozenset[Key] = frozenset()) -> Key | None:
        """What a name means in a module: a definition, (module, name); a module, (module, ""); or nothing of ours."""
        module = self._module(dotted)
        if module is None or (dotted, name) in seen:
            return None
        if any(name in piece.binds for piece in module.pieces):
            return dotted, name
        if target := self._imported(dotted, name, module.imports, seen | {(dotted, name)}):
            return target
        return (f"{dotted}.{name}", "") if self._path(f"{dotted}.{name}") else None

    def _imported(
        self, home: str, name: str, imports: tuple[Import, ...], seen: frozenset[Key] = frozenset()
    ) -> Key | None:
        """What some of a module's imports make of a name."""
        for bound, source, inner, level in imports:
            if bound not in (name, "*"):
                continue
            source = self._absolute(home, source, level)
            if inner:
                target = self._lookup(source, name if bound == "*" else inner, seen)
            else:
                target = (source, "") if self._path(source) else None
            if target:
                return target
        return None

    def _absolute(self, home: str, source: str, level: int) -> str:
        if level == 0:
            return source
        path = self._path(home)
        parts = home.split(".") if path and path.name == "__init__.py" else home.split(".")[:-1]
        return ".".join([*parts[: len(parts) - level + 1], *([source] if source else [])])

    def _module(self, dotted: str) -> _Module | None:
        path = self._path(dotted)
        return _read(path.read_text(encoding="utf-8")) if path else None

    def _path(self, dotted: str) -> Path | None:
        """The file of a module of moe_lib, or of one beside the script."""
        if not dotted:
            return None
        folder = self.root if _is_library(dotted) else self.path.parent
        stem = folder.joinpath(*dotted.split("."))
        return next((p for p in (stem / "__init__.py", stem.with_name(f"{stem.name}.py")) if p.is_file()), None)


@cache
def _read(source: str) -> _Module:
    """The statements of a module, and its imports."""
    tree = ast.parse(source)
    lines = _bare(source, tree)
    imports = [found for node in tree.body for found in _imports(node, inside_functions=False)]
    names = _outside(imports)
    pieces = []
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom) or _is_text(node) or _is_idle(node):
            continue
        pieces.append(_piece(node, lines, names, _binds(node)))
    return _Module(tuple(pieces), tuple(imports))


@cache
def _read_cells(source: str) -> _Module:
    """The cells of a notebook as one piece: what they show depends on their order."""
    source = MAGIC.sub(r"\1pass", source)
    tree = ast.parse(source)
    lines = _bare(source, tree, notebook=True)
    return _Module((_piece(tree, lines, {}, frozenset()),), ())


def _piece(node: ast.AST, lines: list[str], outside: dict[str, str], binds: frozenset[str]) -> _Piece:
    """A statement, or a whole tree, from the bare lines of its source."""
    if isinstance(node, ast.Module):
        own = lines
    else:
        first = min([node.lineno, *(d.lineno for d in getattr(node, "decorator_list", []))])
        own = lines[first - 1 : node.end_lineno]
    imports = tuple(_imports(node, inside_functions=True))
    chains = frozenset(filter(None, map(_chain, ast.walk(node))))
    meanings = outside | _outside(imports)
    meant = sorted(f"{name} = {meanings[name]}" for name in {chain[0] for chain in chains} & meanings.keys())
    return _Piece(
        text="\n".join([*(line.rstrip() for line in own if line.strip()), *meant]),
        binds=binds,
        chains=chains,
        words=frozenset(n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)),
        imports=imports,
    )


def _bare(source: str, tree: ast.Module, notebook: bool = False) -> list[str]:
    """The lines of a source without comments, docstrings and imports.

    A string that stands alone in a cell is shown, and so is no docstring.
    """
    lines = [line.encode() for line in source.split("\n")]  # columns of a tree count bytes
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            row, column = token.start
            lines[row - 1] = lines[row - 1].decode()[:column].encode()
    shown = [node for node in tree.body if notebook]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom) or (_is_text(node) and node not in shown):
            for row in range(node.lineno, node.end_lineno + 1):
                line = lines[row - 1]
                before = line[: node.col_offset] if row == node.lineno else b""
                after = line[node.end_col_offset :] if row == node.end_lineno else b""
                lines[row - 1] = before + after
    return [line.decode() for line in lines]


def _imports(node: ast.AST, inside_functions: bool) -> Iterator[Import]:
    """The imports of a statement."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield (alias.asname, alias.name, "", 0) if alias.asname else (*[alias.name.split(".")[0]] * 2, "", 0)
    elif isinstance(node, ast.ImportFrom):
        for alias in node.names:
            yield alias.asname or alias.name, node.module or "", alias.name, node.level
    elif inside_functions or not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Lambda):
        for child in ast.iter_child_nodes(node):
            yield from _imports(child, inside_functions)


def _outside(imports: Iterable[Import]) -> dict[str, str]:
    """What imported names mean that are not of moe_lib: `np` → numpy, `sqrt` → math.sqrt."""
    return {
        bound: f"{module}.{inner}".rstrip(".")
        for bound, module, inner, level in imports
        if level == 0 and not _is_library(module)
    }


def _binds(node: ast.stmt) -> frozenset[str]:
    """The names that a statement at the top of a module gives a meaning to, or adds to."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return frozenset({node.name})
    found, below = set(), [node]
    while below:
        inner = below.pop()
        if isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(inner.name)
            continue
        if isinstance(inner, ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp | ast.Lambda):
            continue  # their names are their own
        if isinstance(getattr(inner, "ctx", None), ast.Store):
            while isinstance(inner, ast.Attribute | ast.Subscript | ast.Starred):
                inner = inner.value
            if isinstance(inner, ast.Name):
                found.add(inner.id)
        below += ast.iter_child_nodes(inner)
    return frozenset(found)


def _chain(node: ast.AST) -> tuple[str, ...]:
    """a.b.c → (a, b, c); of anything else nothing."""
    names = []
    while isinstance(node, ast.Attribute):
        names.append(node.attr)
        node = node.value
    return (node.id, *reversed(names)) if isinstance(node, ast.Name) else ()


def _is_text(node: ast.AST) -> bool:
    return isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str)


def _is_idle(node: ast.AST) -> bool:
    """Whether a statement does nothing for those who import it: `if __name__ == …`, `if TYPE_CHECKING`."""
    names = {getattr(n, "id", "") for n in ast.walk(node.test)} if isinstance(node, ast.If) else set()
    return bool(names & {"__name__", "TYPE_CHECKING"})


def _is_library(dotted: str) -> bool:
    return dotted.split(".")[0] == PACKAGE


def _root(path: Path) -> Path:
    return path.resolve().parents[1]


def _outcome(path: Path) -> str:
    """What a results file says of its runs, their seconds included; not when it was made or verified."""
    return _hash(json.dumps(json.loads(path.read_text(encoding="utf-8"))["runs"], sort_keys=True).encode())


def _file_hash(path: Path) -> str:
    status = path.stat()
    return _hash_of_file(path, status.st_mtime_ns, status.st_size)


@cache
def _hash_of_file(path: Path, changed: int, size: int) -> str:
    return _hash(path.read_bytes())


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]

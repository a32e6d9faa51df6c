"""Writes the page of the library, when the book is built, from what already stands elsewhere.

Its groups are the rows of the README's table, its text the docstrings, its "used in" the code of the chapters; and
every chapter ends in links to the names that it uses.
"""

import ast
import re
import sys
from importlib import import_module
from pathlib import Path

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT), str(ROOT / "tools")]

import freshness  # noqa: E402
import nbformat  # noqa: E402

import moe_lib  # noqa: E402

MARK = "<!-- the library -->"
ROW = re.compile(r"^\| ((?:`\w+\.py`(?:, )?)+) \| (.+) \|$", re.MULTILINE)

# A docstring sets a formula apart by two spaces; what has no relation or sum in it, or words in a row, is prose.
PART = re.compile(r" {2,}|(?<=\.) (?=[A-Z])|(?<=,) (?=(?:[a-z]{2,} ){2})")
RELATION, WORDS = re.compile(r"[=Σ·→←√]|^\+$"), re.compile(r"`|(?:\b[a-z]{2,} ){2}")


def groups() -> list[tuple[list[str], str]]:
    """Modules and their common job, as the README lists them."""
    rows = ROW.findall((ROOT / "README.md").read_text("utf-8"))
    return [(re.findall(r"`(\w+)\.py`", files), job) for files, job in rows]


def public(module: str) -> list[str]:
    """Full names of what a module gives to readers: its part of `moe_lib.__all__`, or, if it has none, all it shows."""
    defined = vars(import_module(f"moe_lib.{module}"))
    own = [n for n, v in defined.items() if getattr(v, "__module__", "") == f"moe_lib.{module}" and n[0] != "_"]
    if exported := [f"moe_lib.{name}" for name in own if name in moe_lib.__all__]:
        return exported
    return [f"moe_lib.{module}.{name}" for name in own if getattr(defined[name], "__doc__", None)]


def uses(path: Path) -> set[str]:
    """The names of the library that a chapter imports or calls by their module."""
    found = set()
    for code in freshness.code_of(nbformat.read(path, as_version=4)):
        for node in ast.walk(ast.parse(freshness.MAGIC.sub(r"\1pass", code))):
            if isinstance(node, ast.ImportFrom) and node.module.startswith("moe_lib"):
                found |= {f"{node.module}.{alias.name}" for alias in node.names}
            elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
                module = {"moe": "moe_lib", "plots": "moe_lib.plots"}.get(node.value.id)
                found |= {f"{module}.{node.attr}"} if module else set()
    return found & {name for modules, _ in groups() for module in modules for name in public(module)}


def chapter(number: str) -> str | None:
    """The page of a chapter, if it is written."""
    return next((path.stem for path in freshness.chapters() if re.match(rf"0*{number}_", path.stem)), None)


def linked(word: str, number: str) -> str:
    page = chapter(number)
    return f":doc:`{word}{number} <{page}>`" if page else f"{word}{number}"


def prose(text: str) -> str:
    """One stretch of a docstring as reStructuredText: names, chapters and papers become links."""
    parts = re.split(r"(``.+?``|`[\w.]+`|\*\w[\w ]*\w\*)", text)
    for i, part in enumerate(parts):
        if name := re.fullmatch(r"`([\w.]+)`", part):
            known = name[1].partition(".")[0] in moe_lib.__all__
            parts[i] = f":py:obj:`{name[1]} <moe_lib.{name[1]}>`" if known else f"``{name[1]}``"
        elif not part.startswith(("``", "*")):
            part = re.sub(r"([\\*|_])", r"\\\1", part)
            part = re.sub(r"arXiv:(\d{4}\.\d{4,5})", r"`arXiv:\1 <https://arxiv.org/abs/\1>`__", part)
            parts[i] = re.sub(
                r"\b([Cc]hapters? )(\d+)(?:( and )(\d+))?",
                lambda m: linked(m[1], m[2]) + (m[3] + linked("", m[4]) if m[3] else ""),
                part,
            )
    return "".join(parts)


def is_formula(part: str) -> bool:
    return bool(RELATION.search(part)) and not WORDS.search(part)


def inline(text: str) -> str:
    """A paragraph in which formulas are told from prose."""
    done = []
    for part in PART.split(text):
        bare = part.rstrip(".,:;")
        done.append(f"``{bare}``{part[len(bare) :]}" if is_formula(part) else prose(part))
    return " ".join(done)


def paragraph(lines: list[str]) -> list[str]:
    """One paragraph of a docstring, or one field of it (`:param x: …`), as reStructuredText."""
    head, text = re.match(r"(\s*(?::\w+[^:]*: ?|\.\. .*)?)(.*)", lines[0], re.DOTALL).groups()
    indent = " " * (len(head) - len(head.lstrip()))
    alone = is_formula(PART.split(text)[0]) and not WORDS.search(" ".join(lines))
    if not head.strip() and (alone or re.search(r"\S {3,}\S", text)):
        return [f"{indent}::", "", *(f"{indent}   {line.strip()}" for line in lines), ""]
    whole = inline(" ".join([text, *map(str.strip, lines[1:])]).rstrip())
    return [head + re.sub(r"^(?=[A-Za-z]\.)", r"\\", whole)]  # "E." alone would begin a list


def translate(lines: list[str]) -> list[str]:
    """A docstring, its sections already turned into fields, as reStructuredText."""
    done, block = [], []
    for line in [*lines, ""]:
        if block and (not line.strip() or re.match(r"\s*(:\w|\.\. |out: )", line)):
            done += paragraph(block) + ([""] if line.lstrip().startswith("out: ") else [])
            block = []
        block += [line] if line.strip() else []
        done += [] if line.strip() else [""]
    return done


def entry(name: str, readers: list[str]) -> str:
    """What the page says of one name."""
    is_class = isinstance(getattr(import_module(name.rpartition(".")[0]), name.rpartition(".")[2]), type)
    where = ", ".join(f":doc:`{page}`" for page in readers)
    lines = [f".. auto{'class' if is_class else 'function'}:: {name}", *(["   :members:"] if is_class else []), ""]
    return "\n".join(["```{eval-rst}", *lines, *([f"   Used in {where}."] if where else []), "```", ""])


def reference() -> str:
    """The whole reference, as MyST Markdown."""
    readers = {path.stem: uses(path) for path in sorted(freshness.chapters())}
    text = []
    for modules, job in groups():
        text += [f"## {', '.join(f'`{module}`' for module in modules)}", "", job[0].upper() + job[1:] + ".", ""]
        for name in [name for module in modules for name in public(module)]:
            text.append(entry(name, [page for page, names in readers.items() if name in names]))
    return "\n".join(text)


def _write(app: Sphinx, docname: str, source: list[str]) -> None:
    if MARK in source[0]:
        source[0] = source[0].replace(MARK, reference())


def _translate(app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
    lines[:] = translate(lines)


def _link_back(app: Sphinx, doctree: nodes.document) -> None:
    """At the end of a chapter, the names of the library that its code uses."""
    path = Path(doctree["source"])
    if path.suffix != ".ipynb" or not (names := sorted(uses(path), key=str.lower)):
        return
    line = nodes.paragraph("", "From the library, in this chapter: ", classes=["library-names"])
    for name in names:
        called = name.replace("moe_lib", "moe", 1)  # as chapters call it; a link named `Information` would say nothing
        target = {
            "reftype": "obj",
            "refdomain": "py",
            "reftarget": name,
            "refexplicit": True,
            "refdoc": app.env.docname,
        }
        line += [pending_xref("", nodes.literal("", called), **target), nodes.Text(", " if name != names[-1] else ".")]
    next(iter(doctree.findall(nodes.section))).append(line)


def setup(app: Sphinx) -> dict:
    app.connect("source-read", _write)
    app.connect("autodoc-process-docstring", _translate, priority=600)  # after napoleon
    app.connect("doctree-read", _link_back)
    return {"parallel_read_safe": True, "parallel_write_safe": True}

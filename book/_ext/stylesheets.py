"""Makes one small stylesheet of several large ones: without the rules that no page needs, with its fonts inside.

A theme styles everything that some book might show, and names two thousand icons; this book needs a tenth of it. What
stays is what a page or one of its scripts mentions: a rule goes only if a class or an id that it asks for is a word
that occurs nowhere. (So a script must write the names of its classes out, and not put them together.)
"""

import base64
import io
import logging
import re
from collections.abc import Iterable, Iterator
from itertools import groupby, pairwise
from pathlib import Path

import tinycss2
from fontTools.subset import Options, Subsetter
from fontTools.ttLib import TTFont
from tinycss2.ast import AtRule, IdentToken, LiteralToken, Node, QualifiedRule

logging.getLogger("fontTools").setLevel(logging.WARNING)  # it tells what it takes out, a page for each font

NESTED = {"media", "supports", "layer"}  # at-rules that hold rules
WORD = re.compile(r"[\w-]+")
LEGAL = [0, 13, 14]  # of a font's names: copyright, licence and where to read it; its own name is reserved
FAMILY = re.compile(r"font-family:\s*([^;}]+)")
FONT = re.compile(r"url\(\"?[^\"()]*?([\w-]+\.woff2?)\"?\)")  # the first source of a font, by its file's name


def words(text: str) -> set[str]:
    """Everything in a page or a script that may be the name of a class or an id."""
    return set(WORD.findall(text))


def parse(css: str) -> Iterator[Node]:
    """The rules of a stylesheet, and comments that are licences."""
    for rule in tinycss2.parse_stylesheet(css, skip_whitespace=True):
        if rule.type == "error":
            raise ValueError(f"line {rule.source_line} of a stylesheet: {rule.message}")
        if rule.type != "comment" or rule.value.startswith("!"):
            yield rule


def read(path: Path) -> Iterator[Node]:
    """The rules of a stylesheet's file, and in their places those of the files that it imports."""
    for rule in parse(path.read_text("utf-8")):
        if isinstance(rule, AtRule) and rule.at_keyword == "import":
            named = [token for token in rule.prelude if token.type != "whitespace"]
            if [token.type for token in named] != ["string"]:
                raise ValueError(f'{path}: only @import "file.css"; can be followed, not {rule.serialize()}')
            yield from read(path.parent / named[0].value)
        else:
            yield rule


def keep(rules: Iterable[Node], known: set[str]) -> Iterator[Node]:
    """The rules that may apply to a page of these words, and of a list of selectors those that may."""
    for rule in rules:
        if isinstance(rule, QualifiedRule):
            selectors = [list(group) for comma, group in groupby(rule.prelude, lambda token: token == ",") if not comma]
            kept = [selector for selector in selectors if _asks_for(selector) <= known]
            if kept:
                comma = LiteralToken(rule.source_line, rule.source_column, ",")
                rule.prelude = [token for selector in kept for token in (*selector, comma)][:-1]
                yield rule
        elif isinstance(rule, AtRule) and rule.at_keyword in NESTED and rule.content:
            inside = tinycss2.parse_rule_list(rule.content, skip_comments=True, skip_whitespace=True)
            rule.content = list(keep(inside, known))
            if rule.content:
                yield rule
        else:
            yield rule


def _asks_for(selector: list[Node]) -> set[str]:
    """Classes and ids that a selector cannot do without.

    Left aside is what stands in brackets, as in :not(.x), and what is no plain word: such rules stay.
    """
    classes = {after.value for before, after in pairwise(selector) if before == "." and isinstance(after, IdentToken)}
    return set(filter(WORD.fullmatch, classes | {token.value for token in selector if token.type == "hash"}))


def embed(rules: Iterable[Node], folder: Path) -> str:
    """A stylesheet of these rules; its fonts, found below `folder`, are inside it and hold the signs that it writes.

    Icons and formulas are written by rules of one sign each, or of two that make one: `content: "x"`.
    """
    faces, others = [], []
    for rule in rules:
        (faces if isinstance(rule, AtRule) and rule.at_keyword == "font-face" else others).append(rule)
    strings = {token.value for rule in others for token in _tokens(rule) if token.type == "string"}
    signs = {sign for string in strings if len(string) <= 2 for sign in string}
    text = tinycss2.serialize(others)
    used = [face for face in map(Node.serialize, faces) if FAMILY.search(face)[1] in text]
    return "\n".join(filter(None, [*(_with_font(face, folder, signs) for face in used), text]))


def _tokens(node: Node) -> Iterator[Node]:
    """A node of a stylesheet and all that it holds."""
    yield node
    for inside in (*(getattr(node, "content", None) or ()), *(getattr(node, "arguments", None) or ())):
        yield from _tokens(inside)


def _with_font(face: str, folder: Path, signs: set[str]) -> str:
    """A @font-face with its font inside, or nothing if the font has none of the signs."""
    name = FONT.search(face)[1]
    font = subset(next(folder.rglob(name)), signs)
    source = f'src: url("data:font/woff2;base64,{base64.b64encode(font).decode()}") format("woff2")'
    return re.sub(r"src:[^;}]*", lambda _: source, face) if font else ""


def subset(path: Path, signs: set[str]) -> bytes:
    """A font with these signs only, as WOFF2, and with its licence; empty if it has none of them."""
    font = TTFont(path, recalcTimestamp=False)  # the same font today and tomorrow
    found = {ord(sign) for sign in signs} & set(font.getBestCmap())
    if not found:
        return b""
    subsetter = Subsetter(Options(hinting=False, layout_features=[], drop_tables=["FFTM"], name_IDs=LEGAL))
    subsetter.populate(unicodes=found)
    subsetter.subset(font)
    font.flavor = "woff2"
    buffer = io.BytesIO()
    font.save(buffer)
    return buffer.getvalue()

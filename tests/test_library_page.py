"""The page of the library: complete, readable, and linked both ways with the chapters."""

import json
import re
import sys
from inspect import ismodule
from types import ModuleType

import pytest
from bs4 import BeautifulSoup
from moe_book import library
from visits import BOOK, HTML, ROOT

import moe_lib

pytestmark = pytest.mark.built
CHAPTERS = ["02_two_parabolas", "03_kmeans", "intro"]


@pytest.fixture(scope="module")
def page() -> BeautifulSoup:
    path = HTML / "api.html"
    assert path.is_file(), "there is no built book: run `make book` first"
    return BeautifulSoup(path.read_text("utf-8"), "html.parser").select_one("article.bd-article")


def test_every_public_name_has_its_entry_and_every_module_its_job(page):
    shown = {entry["id"] for entry in page.select("dt[id]")}
    assert set(library.entries()) <= shown
    told = [value for value in library.entries().values()]
    exported = [getattr(moe_lib, name) for name in moe_lib.__all__]
    assert [value for value in exported if callable(value) and not any(value is one for one in told)] == []
    modules = [name for _, names in library.rooms(ROOT / "moe_lib") for name in names]
    assert len(modules) > 20 and [name for name in modules if len(library.job(name)) < 20] == []
    assert [heading.get_text() for heading in page.select("h3 .pre")] == [name.rpartition(".")[2] for name in modules]


def test_every_chapter_that_a_docstring_names_is_a_link(page):
    text = " ".join(entry.get_text(" ", strip=True) for entry in page.select("section > dl.py"))
    named = [number for pair in re.findall(r"[Cc]hapters? (\d+)(?: and (\d+))?", text) for number in pair if number]
    written = [number for number in named if list(BOOK.glob(f"0{number}_*.ipynb"))]
    links = [
        link for link in page.select("dl.py a:has(> .doc)") if re.fullmatch(r"([Cc]hapters? )?\d+", link.get_text())
    ]
    assert len(links) == len(written) > 10


def test_docstrings_become_what_they_mean():
    for doc, rst in {
        "Chapters 2 and 3.": ":doc:`Chapters 2 <02_two_parabolas>` and :doc:`3 <03_kmeans>`.",
        "In chapter 99, and 3 others.": "In chapter 99, and 3 others.",
        "As chapter\n2 has it": "As :doc:`chapter\n2 <02_two_parabolas>` has it",
        "(arXiv:1701.06538, eq. 7)": "(`arXiv:1701.06538 <https://arxiv.org/abs/1701.06538>`__, eq. 7)",
        "|E| of `fit`": r"\|E\| of `fit`",
        "Text.\n\ntotal = Σ_i p_i  +  b(p|x)\n\nText.": "Text.\n\n::\n\n   total = Σ_i p_i  +  b(p|x)\n\nText.",
        "encoder   q = f(x)\nwith      z = 1": "::\n\n   encoder   q = f(x)\n   with      z = 1",
        "A sum over them:  w · Σ_b p_i.": "A sum over them:  w · Σ_b p_i.",
        ":param x:  y  z": ":param x:  y  z",
    }.items():
        assert library.translate(doc, CHAPTERS) == rst


PACKAGE = {
    "__init__.py": '"""The core. More."""\nfrom fake_lib.b import shown\n',
    "a.py": '"""All that is\ndocumented. Of a."""\ndef told():\n    """Told."""\ndef untold(): ...\n'
    'def _hidden():\n    """No."""\n',
    "b.py": '"""What is exported."""\ndef shown():\n    """Shown."""\ndef helper():\n    """Not exported."""\n'
    'class Told:\n    """A type."""\n',
    "_c.py": "raise ImportError\n",
    "room/__init__.py": '"""A room."""\nfrom fake_lib.room.d import Thing\n',
    "room/d.py": '"""Things: and more."""\nclass Thing:\n    """One."""\n',
    "data/file.txt": "",
}


def test_a_package_is_walked_the_core_first_and_names_are_told_where_they_are_exported(tmp_path, monkeypatch):
    root = tmp_path / "fake_lib"
    for name, text in PACKAGE.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text, "utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    assert list(library.rooms(root)) == [
        ("fake_lib", ["fake_lib.a", "fake_lib.b"]),
        ("fake_lib.room", ["fake_lib.room.d"]),
    ]
    assert list(library.entries(root)) == [
        "fake_lib.a.told",
        "fake_lib.shown",
        "fake_lib.b.Told",
        "fake_lib.room.Thing",
    ]
    text = library.reference(root, {"1_one": ["fake_lib.shown"], "2_two": ["fake_lib.shown", "fake_lib.room.Thing"]})
    lines = [line for line in text.split("\n") if line and not line.startswith("```")]
    assert lines == [
        "## `fake_lib`", "The core.",
        "### `a`", "All that is", "documented.", ".. autofunction:: fake_lib.a.told",
        "### `b`", "What is exported.", ".. autofunction:: fake_lib.shown", "   Used in :doc:`1_one`, :doc:`2_two`.",
        ".. autoclass:: fake_lib.b.Told", "   :members:",
        "## `fake_lib.room`", "A room.",
        "### `d`", "Things: and more.", ".. autoclass:: fake_lib.room.Thing", "   :members:",
        "   Used in :doc:`2_two`.",
    ]  # fmt: skip
    for name in [name for name in sys.modules if name.startswith("fake_lib")]:
        del sys.modules[name]


def test_what_a_chapter_uses_is_read_from_its_code(tmp_path):
    cells = [
        "if x:\n    %pip install x\nimport moe_lib as moe\nfrom moe_lib import Manager",
        "from moe_lib.teaching import figures as drawn\nfrom moe_lib.ladder import Strokes",
        "from moe_lib.ladder.neighbours import neighbours\nfrom sklearn.cluster import KMeans\nKMeans().fit(x)",
        "moe.fit(a, b)\ndrawn.color(1)\nother.balance(1)",
    ]
    book = {"cells": [{"cell_type": "code", "source": code} for code in cells]}
    (tmp_path / "x.ipynb").write_text(json.dumps(book), "utf-8")
    used = [library.entries()[name] for name in library.uses(tmp_path / "x.ipynb")]
    assert {value.__name__ for value in used} == {"Manager", "color", "neighbours", "Strokes", "fit"}


def test_names_have_one_order():
    """That of the page, so that the same book is built each time."""
    page = list(library.entries())
    for path in BOOK.glob("*.ipynb"):
        assert (names := library.uses(path)) == sorted(names, key=page.index)


def test_chapters_and_library_lead_to_one_another(page):
    for path in sorted(BOOK.glob("*.ipynb")):
        soup = BeautifulSoup((HTML / f"{path.stem}.html").read_text("utf-8"), "html.parser")
        there = {link["href"].partition("#")[2] for link in soup.select(".library-names a")}
        used_in = {
            entry["id"]
            for entry in page.select("dt[id]")
            for line in entry.parent.select("dd > p")
            if line.get_text().startswith("Used in") and line.select_one(f"a[href='{path.stem}.html']")
        }
        assert there == used_in == set(library.uses(path)) != set(), path.stem


def test_links_in_docstrings_lead_somewhere(page):
    """`fit` in a docstring is a link, from every room."""
    linked = {link["href"].partition("#")[2] for link in page.select("dd a.reference.internal[href^='#']")}
    assert len(linked & set(library.entries())) > 10
    assert not any(isinstance(value, ModuleType) or ismodule(value) for value in library.entries().values())

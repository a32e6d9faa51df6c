"""The page of the library: complete, readable, and linked both ways with the chapters."""

import re
from inspect import ismodule
from pathlib import Path

import library
import nbformat
import pytest
from bs4 import BeautifulSoup
from nbformat.v4 import new_code_cell, new_notebook

import moe_lib
from moe_lib.teaching import provenance

HTML = provenance.BOOK / "_build" / "html"


@pytest.fixture(scope="module")
def page() -> BeautifulSoup:
    path = HTML / "api.html"
    assert path.is_file(), "there is no built book: run `make book` first"
    return BeautifulSoup(path.read_text("utf-8"), "html.parser").select_one("article.bd-article")


def test_the_readme_names_every_module_once():
    named = [module for modules, _ in library.groups() for module in modules]
    assert sorted(named) == sorted(p.stem for p in (provenance.ROOT / "moe_lib").glob("*.py") if p.stem != "__init__")


def test_every_public_name_has_its_entry(page):
    entries = {entry["id"] for entry in page.select("dt[id]")}
    assert {f"moe_lib.{name}" for name in moe_lib.__all__ if not ismodule(getattr(moe_lib, name))} <= entries
    assert {"moe_lib.plots.color", "moe_lib.exercises.check"} <= entries, "modules that export no names show their own"


def test_every_chapter_that_a_docstring_names_is_a_link(page):
    text = page.get_text(" ", strip=True)
    named = [number for pair in re.findall(r"[Cc]hapters? (\d+)(?: and (\d+))?", text) for number in pair if number]
    links = [link for link in page.select("a:has(> .doc)") if re.fullmatch(r"([Cc]hapters? )?\d+", link.get_text())]
    assert len(links) == len([number for number in named if library.chapter(number)]) > 10


@pytest.mark.parametrize(
    ("doc", "rst"),
    [
        ("Mean of the batch:  w · Var_i( Σ_b p_i ).", "Mean of the batch: ``w · Var_i( Σ_b p_i )``."),
        ("VAEs with  l(x) = -ELBO(x), in nats per image.", "VAEs with ``l(x) = -ELBO(x)``, in nats per image."),
        ("At first:  p = f(T),  with T falling in a line.", "At first: ``p = f(T)``, with T falling in a line."),
        ("p* of *one* x_i_, |E|; ``a*b``.", r"p\* of *one* x\_i\_, \|E\|; ``a*b``."),
        ("See `fit` and `counts`.", "See :py:obj:`fit <moe_lib.fit>` and ``counts``."),
        ("Chapters 2 and 3.", ":doc:`Chapters 2 <02_two_parabolas>` and :doc:`3 <03_kmeans>`."),
        ("In chapter 99.", "In chapter 99."),
        ("(arXiv:1701.06538, eq. 7)", "(`arXiv:1701.06538 <https://arxiv.org/abs/1701.06538>`__, eq. 7)"),
        (":param num_experts: E.", r":param num_experts: \E."),
        (":param x_i: y_j of `fit`", r":param x_i: y\_j of :py:obj:`fit <moe_lib.fit>`"),
        ("total = Σ_i p_i  +  b(p)", "::\n\n   total = Σ_i p_i  +  b(p)"),
        ("encoder   q = f(x)\nwith      z = 1", "::\n\n   encoder   q = f(x)\n   with      z = 1"),
    ],
)
def test_docstrings_become_what_they_mean(doc, rst):
    assert "\n".join(library.translate(doc.splitlines())).strip() == rst


def test_what_a_chapter_uses_is_read_from_its_code(tmp_path):
    cells = [
        "%pip install x\nimport moe_lib as moe\nfrom moe_lib import Manager, plots",
        "KMeans().fit(x)\nmoe.purity(a, b)\nplots.color(1)",
    ]
    nbformat.write(new_notebook(cells=[new_code_cell(code) for code in cells]), tmp_path / "x.ipynb")
    assert library.uses(tmp_path / "x.ipynb") == {"moe_lib.Manager", "moe_lib.purity", "moe_lib.plots.color"}


@pytest.mark.parametrize("path", provenance.chapters(), ids=lambda path: path.stem)
def test_chapters_and_library_lead_to_one_another(path: Path, page):
    soup = BeautifulSoup((HTML / f"{path.stem}.html").read_text("utf-8"), "html.parser")
    there = {link["href"].partition("#")[2] for link in soup.select(".library-names a")}
    used_in = {
        entry["id"]
        for entry in page.select("dt[id]")
        for line in entry.parent.select("dd > p")
        if line.get_text().startswith("Used in") and line.select_one(f"a[href='{path.stem}.html']")
    }
    assert there == used_in == library.uses(path) != set()

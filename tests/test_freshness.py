"""A chapter turns stale exactly when what its outputs depend on changes."""

import freshness
import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

SOURCE = '''
def used():
    """Doc."""
    return helper()  # why


def helper():
    return 1


def other():
    return 2
'''


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A small library and book of its own, and a function to hash a chapter's code against it."""
    (tmp_path / "moe_lib").mkdir()
    (tmp_path / "book" / "results").mkdir(parents=True)
    module = tmp_path / "moe_lib" / "a.py"
    module.write_text(SOURCE)
    module.with_name("__init__.py").write_text("from moe_lib.a import used\n")
    module.with_name("b.py").write_text("def helper():\n    return 3\n")
    (tmp_path / "book" / "results" / "runs.json").write_text('{"runs": []}')
    monkeypatch.setattr(freshness, "ROOT", tmp_path)
    monkeypatch.setattr(freshness, "BOOK", tmp_path / "book")
    freshness.forget()
    yield module
    freshness.forget()


CODE = 'import moe_lib\n%pip install x\nmoe_lib.used()\nname = "runs"\nload_results(name)\n"github.com/a/b"'


def fingerprint(code=CODE, text="Prose."):
    freshness.forget()
    return freshness.fingerprint(new_notebook(cells=[new_markdown_cell(text), new_code_cell(code)]))


def edited(module, old, new):
    source = module.read_text()
    assert old in source
    module.write_text(source.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Doc.", "Another sentence."),
        ("# why", "# because"),
        ("return 2", "return 3"),
        ("\n\n\ndef other", "\n\n\n\ndef other"),
    ],
)
def test_prose_comments_and_what_is_not_reached_do_not_matter(library, old, new):
    before = fingerprint()
    edited(library, old, new)
    assert fingerprint(text="Other prose.") == before


@pytest.mark.parametrize(("old", "new"), [("return helper()", "return helper() + 1"), ("return 1", "return 7")])
def test_what_is_reached_matters_also_through_others(library, old, new):
    before = fingerprint()
    edited(library, old, new)
    assert fingerprint()["library"] != before["library"]


def test_of_two_definitions_of_one_name_the_imported_one_matters(library):
    before = fingerprint()
    edited(library.with_name("b.py"), "return 3", "return 4")
    assert fingerprint() == before
    edited(library, "def helper():\n    return 1", "from moe_lib.b import helper")
    after = fingerprint()
    edited(library.with_name("b.py"), "return 4", "return 5")
    assert before["library"] != after["library"] != fingerprint()["library"]


@pytest.mark.parametrize(
    "code",
    [
        "import moe_lib as moe\nmoe.used()",
        "from moe_lib import used as u\nu()",
        "from moe_lib.a import used\nused()",
        "import moe_lib.a\nmoe_lib.a.used()",
        "from moe_lib import a\na.used()",
    ],
)
def test_every_way_to_import_is_followed(library, code):
    before = fingerprint(code)
    edited(library, "return 1", "return 7")
    assert fingerprint(code)["library"] != before["library"]


def test_cells_and_results_matter_and_the_address_does_not(library):
    before = fingerprint()
    assert fingerprint(CODE + "\n1")["cells"] != before["cells"]
    assert fingerprint(CODE.replace("a/b", "fork/book")) == before
    results = library.parent.parent / "book" / "results" / "runs.json"
    results.write_text('{"runs": [], "provenance": "of another day"}')
    assert fingerprint() == before
    results.write_text('{"runs": [{"seed": 0, "config": {}, "metrics": {"m": 1}}]}')
    assert fingerprint()["results"] != before["results"]


def test_stale_says_why(library, tmp_path):
    path = tmp_path / "book" / "x.ipynb"
    notebook = new_notebook(cells=[new_code_cell(CODE)])
    nbformat.write(notebook, path)
    assert freshness.stale(path) == "it has never been run in full"
    notebook.metadata["moe"] = {"fingerprint": freshness.fingerprint(notebook)}
    nbformat.write(notebook, path)
    assert freshness.stale(path) is None
    edited(library, "return 1", "return 7")
    freshness.forget()
    assert freshness.stale(path) == "its library changed since it was run"

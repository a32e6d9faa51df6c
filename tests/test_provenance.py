"""Outputs turn stale exactly when what they depend on changes; and every results file is of today's code."""

import json

import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, writes

from moe_lib.records import provenance

FILES = {
    "moe_lib/__init__.py": '"""Doc."""\nfrom moe_lib.core import used, Thing\nfrom .room import deep\n',
    "moe_lib/core.py": '''
"""Doc."""
from __future__ import annotations
from math import sqrt
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moe_lib.room.late import late

LOW, HIGH = 1, 2
TABLE = {}
TABLE["a"] = [LOW]


def used(n):
    """Doc."""
    from moe_lib.room.late import late  # lazily

    text = f"{n!r:>{HIGH}} # no comment"
    return helper(n) + late(text)  # why


def helper(n):
    return sqrt(n)


def other():
    return 2


class Thing:
    size: int = 3
    """Doc."""

    @property
    def area(self):
        return TABLE
''',
    "moe_lib/room/__init__.py": "from moe_lib.room.deep import *\nfrom . import late as later\n",
    "moe_lib/room/deep.py": "from ..core import helper as h\nfrom . import late\n\n\ndef deep():\n    return h(4), "
    'late.late("x"), load("best")\n\n\ndef load(name):\n    return open(f"{name}.safetensors")\n',
    "moe_lib/room/late.py": "print('hello')\n\n\ndef late(x):\n    return x\n",
    "moe_lib/room/unseen.py": "def helper(n):\n    return 3\n",
    "moe_lib/room/weights/best.safetensors": "weights",
    "moe_lib/room/weights/worst.safetensors": "weights",
    "book/results/runs.json": '{"runs": [{"seed": 0, "config": {}, "metrics": {"m": 1}, "seconds": 2.5}]}',
    "book/results/others.json": '{"runs": []}',
    "experiments/protocol.py": "from moe_lib import used\nTHREADS = 2\n\n\ndef prepared():\n    return used(THREADS)\n",
}
CODE = """
import moe_lib as moe
%pip install x
moe.used(1)
moe.deep()
name = "runs"
moe.load_results(name)
"github.com/a/b"
"""
SCRIPT = """
from protocol import prepared

RUNS = [({}, 0)]
RATE = 0.1


def one(config, seed):
    return prepared(), RATE


def publish():
    return RUNS
"""


@pytest.fixture
def root(tmp_path):
    """A small library and book of its own."""
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def of_chapter(root, code=CODE, text="Prose."):
    path = root / "book" / "x.ipynb"
    path.write_text(writes(new_notebook(cells=[new_markdown_cell(text), new_code_cell(code)])), encoding="utf-8")
    return provenance.fingerprint(path)


def of_script(root, code=SCRIPT):
    path = root / "experiments" / "x.py"
    path.write_text(code, encoding="utf-8")
    return provenance.fingerprint(path)


def edited(root, name, old, new):
    """Edits a file, gives both fingerprints, and undoes the edit."""
    source = (root / name).read_text(encoding="utf-8")
    assert old in source
    (root / name).write_text(source.replace(old, new), encoding="utf-8")
    found = of_chapter(root), of_script(root)
    (root / name).write_text(source, encoding="utf-8")
    return found


def test_prose_comments_imports_and_what_is_not_reached_do_not_matter(root):
    before = of_chapter(root), of_script(root)
    core = "moe_lib/core.py"
    for name, old, new in [
        (core, "Doc.", "Another sentence, größer."),
        (core, "# why", "# because"),
        (core, "    return sqrt", "\n    # a comment\n\n    return sqrt"),
        (core, "return 2", "return 3"),
        (core, "\n\n\ndef other", "\n\n\n\ndef other"),
        (core, "if TYPE_CHECKING:\n    from moe_lib.room.late import late\n", ""),
        (core, "from math import sqrt\n", "import os\nfrom math import sqrt\n"),
        (core, "def helper(n):\n    return", "def helper(n):\n    from math import sqrt\n\n    return"),
        ("moe_lib/room/unseen.py", "return 3", "return 4"),
        ("moe_lib/room/weights/worst.safetensors", "weights", "other weights"),
        ("book/results/others.json", "[]", '[{"seed": 1}]'),
        ("book/results/runs.json", '{"runs"', '{"provenance": "of another day", "runs"'),
    ]:
        assert edited(root, name, old, new) == before, (name, old)
    assert of_chapter(root, text="Other prose.") == before[0]
    assert (
        of_chapter(root, "# why\n\n" + CODE.replace("a/b", "fork/book").replace("%pip install x", "%pip install y"))
        == before[0]
    )
    assert (
        of_script(root, '"""Doc."""\n' + SCRIPT.replace("[({}, 0)]", "[({}, 0), ({}, 1)]") + "\n\nprint_nothing = 1\n")
        == before[1]
    )


def test_a_pure_move_does_not_matter(root):
    before = of_chapter(root), of_script(root)
    core = (root / "moe_lib" / "core.py").read_text(encoding="utf-8")
    helper = "def helper(n):\n    return sqrt(n)\n"
    (root / "moe_lib" / "core.py").write_text(
        core.replace(helper, "from moe_lib.room.aa.bb import helper\n"), encoding="utf-8"
    )
    (root / "moe_lib" / "room" / "aa").mkdir()
    (root / "moe_lib" / "room" / "aa" / "bb.py").write_text("from math import sqrt\n\n\n" + helper, encoding="utf-8")
    (root / "moe_lib" / "assets").mkdir()
    (root / "moe_lib" / "room" / "weights" / "best.safetensors").rename(
        root / "moe_lib" / "assets" / "best.safetensors"
    )
    assert (of_chapter(root), of_script(root)) == before


def test_what_is_reached_matters_wherever_it_lives(root):
    before = of_chapter(root), of_script(root)
    core, both, chapter_only = "moe_lib/core.py", (True, True), (True, False)
    for name, old, new, matters in [
        (core, "sqrt(n)", "sqrt(n) + 1", both),  # through another definition, and through another module
        (core, "from math import", "from cmath import", both),  # the same name means something else
        (core, "LOW, HIGH = 1, 2", "LOW, HIGH = 1, 3", both),  # one of two names at once
        (core, "# no comment", "# no comments", both),
        ("moe_lib/room/late.py", "return x", "return 2 * x", both),  # an import inside a function
        ("moe_lib/room/late.py", "hello", "goodbye", both),  # what a module does on import
        ("moe_lib/room/deep.py", "h(4)", "h(5)", chapter_only),  # offered by two `__init__`, one with a star
        ("moe_lib/room/weights/best.safetensors", "weights", "Weights", chapter_only),
        ("book/results/runs.json", '"m": 1', '"m": 2', chapter_only),
        ("book/results/runs.json", "2.5", "2.6", chapter_only),  # chapters print seconds
        ("experiments/protocol.py", "THREADS = 2", "THREADS = 3", (False, True)),
    ]:
        after = edited(root, name, old, new)
        assert tuple(b != a for b, a in zip(before, after, strict=True)) == matters, (name, old)
    assert of_chapter(root, CODE + "\n1")["code"] != before[0]["code"]
    assert of_script(root, SCRIPT.replace("0.1", "0.2"))["code"] != before[1]["code"]


def test_every_way_to_import_is_followed(root):
    for code in [
        "import moe_lib as moe\nmoe.used(1)",
        "from moe_lib import used as u\nu(1)",
        "from moe_lib.core import used\nused(1)",
        "import moe_lib.core\nmoe_lib.core.used(1)",
        "from moe_lib import core\ncore.used(1)",
        "import moe_lib.room.deep as d\nd.deep()",
        "from moe_lib.room import deep\ndeep()",
        "from moe_lib import room\nroom.deep()",
        "def lazily():\n    from moe_lib.room.deep import deep\n    deep()",
        "from moe_lib.core import *\nused(1)",
    ]:
        before = of_chapter(root, code)
        source = (root / "moe_lib" / "core.py").read_text(encoding="utf-8")
        (root / "moe_lib" / "core.py").write_text(source.replace("sqrt(n)", "sqrt(n) + 1"), encoding="utf-8")
        assert of_chapter(root, code)["library"] != before["library"], code
        (root / "moe_lib" / "core.py").write_text(source, encoding="utf-8")


def test_a_fingerprint_is_the_same_on_every_python(root):
    """Python 3.11 made these: sources are hashed as they are written, not as a version of Python prints them."""
    assert {part: value for part, value in of_chapter(root).items() if part in ("code", "library")} == {
        "code": "ba5471084aab054f",
        "library": "8fc9ad17751fef40",
    }


def test_a_chapter_says_why_it_is_stale(root):
    of_chapter(root)
    path = root / "book" / "x.ipynb"
    assert provenance.stale(path) == "it has never been run in full"
    notebook = json.loads(path.read_text(encoding="utf-8"))
    notebook["metadata"]["moe"] = {"fingerprint": provenance.fingerprint(path)}
    path.write_text(json.dumps(notebook), encoding="utf-8")
    assert provenance.stale(path) is None
    (root / "moe_lib" / "room" / "weights" / "best.safetensors").write_text("others", encoding="utf-8")
    (root / "book" / "results" / "runs.json").write_text('{"runs": []}', encoding="utf-8")
    assert provenance.stale(path) == "its assets best.safetensors and results runs changed since it was run in full"


def test_an_experiment_is_fresh_if_made_or_verified_by_this_code(root):
    made, path = of_script(root), root / "experiments" / "x.py"
    assert provenance.stale(path) == "it has never been run, or verified"

    def record(**of):
        (root / "book" / "results" / "x.json").write_text(json.dumps({"provenance": of}), encoding="utf-8")

    record(fingerprint=made)
    assert provenance.stale(path) is None
    made_by_other_code = made | {"library": "of old"}
    record(fingerprint=made_by_other_code)
    assert provenance.stale(path) == "its library changed since it was run, or verified"
    record(fingerprint=made_by_other_code, verified={"fingerprint": made})
    assert provenance.stale(path) is None


def test_the_book_s_own_library_is_followed_into_its_rooms():
    """No toy: what is about the ladder reaches the ladder's code, data and weights, and an early chapter does not."""
    script = provenance.ROOT / "experiments" / "barred_sevens.py"
    found, reached = provenance.fingerprint(script), provenance.reached(script)
    assert found["assets"].keys() == {"best.safetensors", "mnist.tar.xz", "sevens.json"}
    assert {("moe_lib.training", "fit"), ("moe_lib.ladder.prototypes", "PrototypeExperts")} <= reached
    assert ("moe_lib.ladder.recipes", "fit_invariant") not in reached
    assert not any(module.startswith("moe_lib.teaching") for module, _ in reached), "what records makes no number"
    chapters = {path.stem: path for path in provenance.chapters()}
    read = provenance.fingerprint(chapters["08_ladder"])["results"].keys()
    assert {"ladder", "invariance", "one_minute"} <= read
    assert "08_ladder" not in read
    parabolas = chapters["02_two_parabolas"]
    assert not provenance.fingerprint(parabolas)["assets"]
    assert not {module.split(".")[1] for module, _ in provenance.reached(parabolas)} & {"ladder", "measures", "scaling"}

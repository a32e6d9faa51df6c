"""The arrows between the rooms of moe_lib point inwards, as its code is read, not run. Each rule is tried, too."""

import ast
import importlib
from collections import defaultdict
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import NamedTuple

import pytest

LIBRARY = Path(__file__).parents[1] / "moe_lib"
INNER = {
    "core": set(),
    "records": {"core"},
    "scaling": {"core"},
    "measures": {"core"},
    "ladder": {"core", "measures"},
    "language": {"core", "scaling"},
}
MAY = {room: {room} | others for room, others in INNER.items()}
MAY |= {room: {*INNER, "teaching", "exercises"} for room in ("teaching", "exercises")}
FILES, LINES = 10, 1200  # of the core
GONE = {"counts", "reach"}  # a tree and a sparse mixture carry their own weights


class File(NamedTuple):
    """A file of the library."""

    tree: ast.Module
    is_package: bool


Library = dict[str, File]  # by the name that imports it


def read(root: Path) -> Library:
    """All files of the library."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = ("moe_lib", *path.relative_to(root).with_suffix("").parts)
        name, is_package = ".".join(parts).removesuffix(".__init__"), path.stem == "__init__"
        found[name] = File(ast.parse(path.read_text(encoding="utf-8")), is_package)
    return found


def imports(name: str, library: Library) -> set[str]:
    """The modules of the library that one of them imports, wherever in its text: at the top, or late in a function."""
    here = (name if library[name].is_package else name.rpartition(".")[0]).split(".")
    found = set()
    for node in ast.walk(library[name].tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            above = here[: len(here) - node.level + 1] if node.level else []
            origin = ".".join([*above, *filter(None, [node.module])])
            found |= {f"{origin}.{alias.name}" for alias in node.names} & library.keys() or {origin}
    return {other for other in found if other.partition(".")[0] == "moe_lib"}


def room(name: str, library: Library) -> str:
    """The room that a module belongs to: a folder of the library, or the core."""
    _, *parts = name.split(".")
    folder = len(parts) > 1 or (len(parts) == 1 and (name not in library or library[name].is_package))
    return parts[0] if folder else "core"


def exports(tree: ast.Module) -> list[str]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) == "__all__":
            return ast.literal_eval(node.value)
    return []


def wrong_arrows(root: Path) -> list[str]:
    """Imports from a room that may not be known, and in the core imports that this reading would not see."""
    library, wrong = read(root), []
    for name, file in library.items():
        here = room(name, library)
        others = sorted(imports(name, library))
        wrong += [f"{name} imports {other}" for other in others if room(other, library) not in MAY.get(here, ())]
        used = {getattr(node, "attr", getattr(node, "id", None)) for node in ast.walk(file.tree)}
        if here == "core" and used & {"import_module", "__import__"}:
            wrong.append(f"{name} imports by a name that is not in its text")
    return wrong


def circle(root: Path) -> list[str]:
    """Files that import one another."""
    library = read(root)
    try:
        TopologicalSorter({name: imports(name, library) for name in library}).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def exported_twice(root: Path) -> list[str]:
    """Names that two packages export."""
    places = defaultdict(list)
    for name, file in read(root).items():
        for export in exports(file.tree):
            places[export].append(name)
    return [f"{export} by {' and '.join(names)}" for export, names in sorted(places.items()) if len(names) > 1]


def not_exported(root: Path) -> list[str]:
    """Names that a package takes from its own files and does not export, or exports and has not."""
    wrong = []
    for name, file in read(root).items():
        if file.is_package:
            own = [node for node in file.tree.body if isinstance(node, ast.ImportFrom) and node.module.startswith(name)]
            had = {alias.asname or alias.name for node in own for alias in node.names}
            had |= {node.name for node in file.tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
            public = {export for export in had if not export.startswith("_")}
            wrong += [f"{name}.{export}" for export in sorted(public ^ set(exports(file.tree)))]
    return wrong


def old_parameters(root: Path) -> list[str]:
    """Parameters of the core that were moved out of it."""
    library = read(root)
    return [
        f"{name}.{function.name}({argument.arg})"
        for name, file in library.items()
        if room(name, library) == "core"
        for function in ast.walk(file.tree)
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef)
        for argument in ast.walk(function.args)
        if isinstance(argument, ast.arg) and argument.arg in GONE
    ]


def size_of_core(root: Path) -> tuple[int, int]:
    """Its files and their lines."""
    files = list(root.glob("*.py"))
    return len(files), sum(len(path.read_text(encoding="utf-8").splitlines()) for path in files)


RULES = [wrong_arrows, circle, exported_twice, not_exported, old_parameters]


@pytest.mark.parametrize("rule", RULES)
def test_the_library_keeps_the_rule(rule):
    assert rule(LIBRARY) == []


def test_the_core_is_small():
    files, lines = size_of_core(LIBRARY)
    assert files <= FILES
    assert lines <= LINES


@pytest.mark.parametrize("name", [name for name, file in read(LIBRARY).items() if exports(file.tree)])
def test_every_name_that_a_package_exports_is_there(name):
    package, names = importlib.import_module(name), exports(read(LIBRARY)[name].tree)
    assert [export for export in names if not hasattr(package, export)] == []
    assert len(names) == len(set(names))


SOUND = {
    "__init__": "from moe_lib.mixture import Mixture\n__all__ = ['Mixture']",
    "mixture": "from moe_lib.layers import Layer\nclass Mixture: ...",
    "layers": "import torch\nclass Layer: ...",
    "measures/__init__": "from moe_lib.measures.scoring import score\n__all__ = ['score']",
    "measures/scoring": "from moe_lib import Mixture\ndef score(counts): ...",
    "ladder/__init__": "from moe_lib.ladder.tree import Tree\n__all__ = ['Tree']",
    "ladder/tree": "import moe_lib\nfrom moe_lib.measures import score\nfrom .gates import gate\nclass Tree: ...",
    "ladder/gates": "from moe_lib.layers import Layer\ndef gate(): ...",
    "teaching/__init__": "from moe_lib import ladder, measures\n__all__ = []",
}


@pytest.fixture
def library(tmp_path):
    """Writes a small library with one change, and gives its folder."""

    def write(**changed):
        for name, text in (SOUND | {name.replace("__of__", "/"): text for name, text in changed.items()}).items():
            path = tmp_path / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        return tmp_path

    return write


def test_a_sound_library_breaks_no_rule(library):
    root = library()
    assert {rule.__name__: rule(root) for rule in RULES} == {rule.__name__: [] for rule in RULES}
    assert size_of_core(root) == (3, 6)


@pytest.mark.parametrize(
    ("rule", "file", "text", "found"),
    [
        (wrong_arrows, "layers", "from moe_lib.ladder.tree import Tree", "moe_lib.layers imports moe_lib.ladder.tree"),
        (wrong_arrows, "layers", "from moe_lib.ladder import Tree", "moe_lib.layers imports moe_lib.ladder"),
        (wrong_arrows, "layers", "def f():\n    import moe_lib.measures", "moe_lib.layers imports moe_lib.measures"),
        (wrong_arrows, "layers", "def f():\n    from . import teaching", "moe_lib.layers imports moe_lib.teaching"),
        (wrong_arrows, "layers", "from moe_lib import measures", "moe_lib.layers imports moe_lib.measures"),
        (wrong_arrows, "layers", "import importlib\nimportlib.import_module('x')", "moe_lib.layers imports by a name"),
        (
            wrong_arrows,
            "measures/scoring",
            "from ..ladder import Tree",
            "moe_lib.measures.scoring imports moe_lib.ladder",
        ),
        (
            wrong_arrows,
            "ladder/gates",
            "from moe_lib.teaching import x",
            "moe_lib.ladder.gates imports moe_lib.teaching",
        ),
        (wrong_arrows, "attic/old", "import moe_lib", "moe_lib.attic.old imports moe_lib"),
        (circle, "layers", "def f():\n    from moe_lib.mixture import Mixture", "moe_lib.mixture"),
        (circle, "layers", "import moe_lib", "moe_lib"),
        (circle, "ladder/gates", "from moe_lib.ladder import Tree", "moe_lib.ladder.tree"),
        (exported_twice, "teaching/__init__", "__all__ = ['Tree']", "Tree by moe_lib.ladder and moe_lib.teaching"),
        (not_exported, "teaching/__init__", "__all__ = ['Nothing']", "moe_lib.teaching.Nothing"),
        (not_exported, "ladder/__init__", "from moe_lib.ladder.tree import Tree", "moe_lib.ladder.Tree"),
        (old_parameters, "layers", "class A:\n    def f(self, x, *, reach=None): ...", "moe_lib.layers.f(reach)"),
        (old_parameters, "mixture", "def f(counts): ...", "moe_lib.mixture.f(counts)"),
    ],
)
def test_each_rule_is_noticed_when_it_is_broken(library, rule, file, text, found):
    assert any(problem.startswith(found) for problem in rule(library(**{file: text})))


def test_a_core_that_grows_is_noticed(library):
    assert size_of_core(library(layers="x = 1\n" * LINES))[1] > LINES
    assert size_of_core(library(**{f"more_{i}": "" for i in range(FILES)}))[0] > FILES

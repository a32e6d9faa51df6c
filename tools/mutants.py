"""Makes one small mistake at a time in the core of moe_lib, and says which of them tests/core does not notice.

    python tools/mutants.py                       all files, two processes
    python tools/mutants.py --file training mixture
    python tools/mutants.py --sample 60           so many of all mistakes, the same each time

Each mistake is made in memory, in a child of a process that has torch already: the file's own tests run first, the
others if those are content. What no test can see is left out by rule: texts, types, and what only makes things faster.
"""

import argparse
import ast
import copy
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from importlib.machinery import ModuleSpec
from pathlib import Path

LIBRARY, TESTS = Path("moe_lib"), Path("tests/core")
LIMIT = 300  # seconds: a mistake that makes the tests run longer is noticed
SWAPS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div, ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
}  # fmt: skip
JOBS: list[tuple] = []  # path, tree, line, what is wrong, what makes it so
ONLY_FASTER = {"contiguous", "cpu", "flush", "fused", "strict", "leave", "refresh"}  # methods and keywords


def mistakes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What could stand in the place of a node, by what is wrong with it."""

    def changed(**fields: object) -> ast.AST:
        new = copy.copy(node)
        vars(new).update(fields)
        return new

    if isinstance(node, ast.BinOp | ast.BoolOp) and (swap := SWAPS.get(type(node.op))):
        yield f"{swap.__name__}", changed(op=swap())
    elif isinstance(node, ast.Compare):
        for i, swap in enumerate(SWAPS[type(op)] for op in node.ops):
            yield f"{swap.__name__}", changed(ops=[*node.ops[:i], swap(), *node.ops[i + 1 :]])
    elif isinstance(node, ast.UnaryOp):
        yield f"no {type(node.op).__name__}", node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        new = not node.value if isinstance(node.value, bool) else node.value + 1
        yield f"{new}", ast.Constant(new)
    elif isinstance(node, ast.If | ast.IfExp):
        yield "if not", changed(test=ast.UnaryOp(ast.Not(), node.test))
    elif isinstance(node, ast.With) and not any(item.optional_vars for item in node.items):
        yield "no with", ast.If(ast.Constant(True), node.body, [])
    elif isinstance(node, ast.Raise | ast.AugAssign) or isinstance(getattr(node, "value", None), ast.Call):
        if isinstance(node, ast.Raise | ast.AugAssign | ast.Expr) and not ONLY_FASTER & names(node):
            yield "no such line", ast.Pass()
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args + node.keywords:
        if node.func.attr not in ONLY_FASTER:
            yield f"no {node.func.attr}()", node.func.value
    elif isinstance(node, ast.FunctionDef):
        for call in (decorator for decorator in node.decorator_list if isinstance(decorator, ast.Call)):
            yield f"no @{ast.unparse(call)}", changed(decorator_list=[d for d in node.decorator_list if d is not call])


def names(top: ast.AST) -> set[str]:
    """The methods and attributes named below a node."""
    return {node.attr for node in ast.walk(top) if isinstance(node, ast.Attribute)}


def spots(tree: ast.Module) -> Iterator[tuple[int, str, Callable[[], None]]]:
    """Line and name of each mistake, and what makes it in the tree."""
    unseen = set()  # texts, types, and what a test has no way to see
    for node in ast.walk(tree):
        tops = [getattr(node, field, None) for field in ("annotation", "returns", "exc", "cause")]
        tops += [node] if isinstance(node, ast.JoinedStr) or getattr(node, "arg", None) in ONLY_FASTER else []
        unseen |= {part for top in tops if top for part in ast.walk(top)}
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            for i, node in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(node, ast.AST) and node not in unseen:
                    put = partial(value.__setitem__, i) if isinstance(value, list) else partial(setattr, parent, field)
                    yield from ((node.lineno, what, partial(put, new)) for what, new in mistakes(node))


class Loader:
    """Imports a module as it stands in a tree."""

    def __init__(self, path: Path, tree: ast.Module) -> None:
        self.path, self.tree = path.resolve(), tree
        self.name = f"moe_lib.{path.stem}".removesuffix(".__init__")

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=name == "moe_lib") if name == self.name else None

    def create_module(self, spec: ModuleSpec) -> None: ...

    def exec_module(self, module: object) -> None:
        module.__file__, module.__path__ = str(self.path), [str(self.path.parent)]
        exec(compile(ast.fix_missing_locations(self.tree), self.path, "exec"), vars(module))


def run(tests: list[Path]) -> int:
    """What pytest ends with; 0 if all is well."""
    import pytest

    return int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *map(str, tests)]))


def too_long(*given: object) -> None:
    raise TimeoutError  # the test that runs fails


def is_noticed(job: int) -> tuple[int, bool]:
    """In a child of its own: makes the mistake and runs the tests, those of the file first."""
    path, tree, _, _, change = JOBS[job]
    for stream in (1, 2):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
    signal.signal(signal.SIGALRM, too_long)
    signal.alarm(LIMIT)
    change()
    sys.meta_path.insert(0, Loader(path, tree))
    own = [test for test in [TESTS / f"test_{path.stem}.py"] if test.exists()]
    apart = {"test_import"} | ({"test_data"} if path.stem != "data" else set())  # of a process, a file of their own
    others = [test for test in sorted(TESTS.glob("test_*.py")) if test not in own and test.stem not in apart]
    return job, any(run(tests) for tests in (own, others) if tests)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", nargs="+", help="of the core, for instance training")
    parser.add_argument("--sample", type=int, help="so many mistakes, drawn from all")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.path[:0] = [".", "tests"]

    # Once as it is: so the tests are known to pass, and what they import beside the library is there for all children.
    if run(sorted(TESTS.glob("test_*.py"))):
        sys.exit("the tests fail on the library as it is")
    for name in [name for name in sys.modules if name.partition(".")[0] in ("moe_lib", "conftest", TESTS.name)]:
        del sys.modules[name]

    for path in sorted(LIBRARY.glob("*.py")):
        if not options.file or path.stem in options.file:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            JOBS.extend((path, tree, *spot) for spot in spots(tree))
    if options.sample:
        JOBS[:] = sorted(random.Random(0).sample(JOBS, options.sample), key=lambda job: job[:1] + job[2:3])
    begun, survivors = time.monotonic(), 0
    with multiprocessing.get_context("fork").Pool(options.processes, maxtasksperchild=1) as pool:
        for done, (job, noticed) in enumerate(pool.imap_unordered(is_noticed, range(len(JOBS))), start=1):
            path, _, line, what, _ = JOBS[job]
            if not noticed:
                survivors += 1
                source = path.read_text(encoding="utf-8").splitlines()[line - 1].strip()
                print(f"survives: {path}:{line}  {what}:  {source}", flush=True)
            print(f"{done} of {len(JOBS)} tried, {survivors} survive", end="\r", file=sys.stderr, flush=True)
    print(f"{1 - survivors / len(JOBS):.1%} of {len(JOBS)} mistakes noticed, in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()

"""Makes one small mistake at a time in the core of moe_lib, and says which of them tests/core does not notice.

    python tools/mutants.py                        all files, two processes
    python tools/mutants.py --file training        one file
    python tools/mutants.py --sample 60            so many of all mistakes, the same each time

Each mistake is made in memory, in a child of a process that has torch already: the file's own tests run first, the
others if those are content. What no test can see is left out by rule: texts, types, and what only makes things faster.
"""

import argparse
import ast
import copy
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
SWAPS = {
    ast.Lt: ast.LtE, ast.LtE: ast.Lt, ast.Gt: ast.GtE, ast.GtE: ast.Gt, ast.Eq: ast.NotEq, ast.NotEq: ast.Eq,
    ast.Is: ast.IsNot, ast.IsNot: ast.Is, ast.In: ast.NotIn, ast.NotIn: ast.In, ast.And: ast.Or, ast.Or: ast.And,
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult, ast.FloorDiv: ast.Div, ast.Pow: ast.Mult,
    ast.BitOr: ast.BitAnd,
}  # fmt: skip
ONLY_FASTER = {"contiguous", "cpu", "flush", "fused", "strict", "leave", "refresh"}  # methods and keywords


def mistakes(node: ast.AST) -> Iterator[tuple[str, ast.AST]]:
    """What could stand in the place of a node, by what is wrong with it."""
    if isinstance(node, ast.BinOp | ast.BoolOp) and type(node.op) in SWAPS:
        new = copy.copy(node)
        new.op = SWAPS[type(node.op)]()
        yield f"{type(node.op).__name__} → {type(new.op).__name__}", new
    elif isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            new = copy.copy(node)
            new.ops = [*node.ops[:i], SWAPS[type(op)](), *node.ops[i + 1 :]]
            yield f"{type(op).__name__} → {type(new.ops[i]).__name__}", new
    elif isinstance(node, ast.UnaryOp):
        yield f"without {type(node.op).__name__}", node.operand
    elif isinstance(node, ast.Constant) and isinstance(node.value, bool | int | float):
        new = not node.value if isinstance(node.value, bool) else node.value + 1
        yield f"{node.value} → {new}", ast.Constant(new)
    elif isinstance(node, ast.If | ast.IfExp):
        new = copy.copy(node)
        new.test = ast.UnaryOp(ast.Not(), node.test)
        yield "if not", new
    elif isinstance(node, ast.Raise | ast.AugAssign) or (
        isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)
    ):
        if not ONLY_FASTER & {getattr(part, "attr", None) for part in ast.walk(node)}:
            yield "without the line", ast.Pass()
    elif isinstance(node, ast.With) and not any(item.optional_vars for item in node.items):
        yield "without the with", ast.If(ast.Constant(True), node.body, [])
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and not node.args + node.keywords:
        if node.func.attr not in ONLY_FASTER:
            yield f"without .{node.func.attr}()", node.func.value
    elif isinstance(node, ast.FunctionDef):
        for decorator in node.decorator_list:
            if isinstance(decorator, ast.Call):
                new = copy.copy(node)
                new.decorator_list = [other for other in node.decorator_list if other is not decorator]
                yield f"without @{ast.unparse(decorator)}", new


def spots(tree: ast.Module) -> Iterator[tuple[int, str, Callable[[], None]]]:
    """Line and name of each mistake, and what makes it in the tree."""
    unseen = set()  # texts, types, and what a test has no way to see
    for node in ast.walk(tree):
        hidden = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        hidden += [node] if isinstance(node, ast.JoinedStr) else []
        hidden += [node.exc, node.cause] if isinstance(node, ast.Raise) else []
        hidden += [node] if isinstance(node, ast.keyword) and node.arg in ONLY_FASTER else []
        unseen |= {part for top in hidden if top for part in ast.walk(top)}
    for parent in ast.walk(tree):
        for field, value in ast.iter_fields(parent):
            for i, node in enumerate(value if isinstance(value, list) else [value]):
                if isinstance(node, ast.AST) and node not in unseen:
                    put = partial(value.__setitem__, i) if isinstance(value, list) else partial(setattr, parent, field)
                    for what, new in mistakes(node):
                        yield node.lineno, what, partial(put, new)


class Loader:
    """Imports a file as it stands in a tree."""

    def __init__(self, name: str, tree: ast.Module) -> None:
        self.name, self.tree = name, tree

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=name == "moe_lib") if name == self.name else None

    def create_module(self, spec: ModuleSpec) -> None: ...

    def exec_module(self, module: object) -> None:
        module.__file__, module.__path__ = str(LIBRARY / "__init__.py"), [str(LIBRARY.resolve())]
        exec(compile(ast.fix_missing_locations(self.tree), self.name, "exec"), vars(module))


def start(stem: str, tree: ast.Module, change: Callable[[], None]) -> int:
    """A child that makes the mistake and runs the tests; it ends with 0 if they notice nothing."""
    if child := os.fork():
        return child
    os.setsid()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(1, 2)
    import pytest

    change()
    sys.meta_path.insert(0, Loader("moe_lib" if stem == "__init__" else f"moe_lib.{stem}", tree))
    own = TESTS / f"test_{stem}.py"
    others = [path for path in sorted(TESTS.glob("test_*.py")) if path.stem not in (own.stem, "test_import")]
    if stem != "data":  # it knows none of the others, and unpacking MNIST takes its time
        others = [path for path in others if path.stem != "test_data"]
    for files in ([own] if own.exists() else [], others):
        code = int(pytest.main(["-x", "-q", "-p", "no:cacheprovider", *map(str, files)])) if files else 0
        if code:
            os._exit(code)
    os._exit(0)


def outcomes(jobs: list[tuple], processes: int, limit: float) -> Iterator[tuple]:
    """Each job and its exit status, as they end; one that takes too long is ended."""
    running, waiting = {}, jobs[::-1]
    while running or waiting:
        while waiting and len(running) < processes:
            job = waiting.pop()
            running[start(job[0], *job[3:])] = job, time.monotonic() + limit
        time.sleep(0.02)
        for child, (job, deadline) in list(running.items()):
            if time.monotonic() > deadline:
                os.killpg(child, signal.SIGKILL)
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                del running[child]
                yield job, os.waitstatus_to_exitcode(status)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--file", help="one file of the core, for instance training")
    parser.add_argument("--sample", type=int, help="so many mistakes, drawn from all")
    parser.add_argument("--processes", type=int, default=2)
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"
    sys.path[:0] = [".", "tests"]
    for name in ("torch", "pytest", "hypothesis.extra", "scipy.optimize", "safetensors.torch", "tqdm"):
        __import__(name)

    jobs = []
    files = [path for path in sorted(LIBRARY.glob("*.py")) if options.file in (None, path.stem)]
    for path in files:
        tree = ast.parse(path.read_text(encoding="utf-8"))
        jobs += [(path.stem, line, what, tree, change) for line, what, change in spots(tree)]
    if options.sample:
        jobs = sorted(random.Random(0).sample(jobs, options.sample), key=lambda job: job[:2])

    begun = time.monotonic()
    sound = [(path.stem, 0, "", ast.parse(path.read_text(encoding="utf-8")), list) for path in [LIBRARY / "data.py"]]
    if any(status for _, status in outcomes(sound, 1, 600)):
        sys.exit("the tests fail on the library as it is: nothing to learn from mistakes")
    limit = 10 + 5 * (time.monotonic() - begun)
    survivors = 0
    for done, ((stem, line, what, *_), status) in enumerate(outcomes(jobs, options.processes, limit), start=1):
        if status == 0:
            survivors += 1
            source = (LIBRARY / f"{stem}.py").read_text(encoding="utf-8").splitlines()[line - 1].strip()
            print(f"\rsurvives: {LIBRARY / stem}.py:{line}  {what}:  {source}", flush=True)
        elif status not in (1, 2, -signal.SIGKILL):
            print(f"\rstrange: exit status {status} at {stem}.py:{line} {what}", flush=True)
        if sys.stderr.isatty() or done % 50 == 0:
            print(f"{done} of {len(jobs)}, {survivors} survive", end="\r", file=sys.stderr, flush=True)
    noticed = len(jobs) - survivors
    print(f"{noticed} of {len(jobs)} mistakes noticed: {noticed / len(jobs):.1%}, in {time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()

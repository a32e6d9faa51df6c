"""How much longer does `import moe_lib` take than `import torch` alone?

    python tools/import_time.py [PAIRS]

Each pair is two fresh processes, one after the other, so that a machine that is busy slows down both; the answer is the
median of the differences. What may be imported at all is a test: tests/core/test_import.py.
"""

import statistics
import subprocess
import sys
import time


def seconds(code: str) -> float:
    """How long a Python of its own takes to run the code."""
    begun = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - begun


def main() -> None:
    pairs = int(sys.argv[1]) if len(sys.argv) > 1 else 9
    seconds("import moe_lib")  # from now on, its files are in memory
    alone, both = zip(*((seconds("import torch"), seconds("import torch, moe_lib")) for _ in range(pairs)), strict=True)
    more = statistics.median(b - a for a, b in zip(alone, both, strict=True))
    print(f"import torch {statistics.median(alone):.2f} s; moe_lib adds {more:+.2f} s (medians of {pairs} pairs)")


if __name__ == "__main__":
    main()

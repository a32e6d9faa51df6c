"""Speed and scale, chapter 6: sparse routing, a compiled step, several processes."""

from moe_lib.scaling.compiled import compiled_step
from moe_lib.scaling.processes import gather, num_processes, rank, shared_step
from moe_lib.scaling.routing import Route, SparseMixture, dispatch

__all__ = [
    "Route", "SparseMixture", "compiled_step", "dispatch", "gather", "num_processes", "rank", "shared_step",
]  # fmt: skip

"""Speed and scale, chapter 6: sparse routing, a compiled step, several processes; and models in files."""

from moe_lib.scaling.compiled import compiled_step
from moe_lib.scaling.processes import gather, num_processes, rank, shared_step
from moe_lib.scaling.routing import Route, SparseMixture, dispatch
from moe_lib.scaling.saving import load, save

__all__ = [
    "Route", "SparseMixture", "compiled_step", "dispatch", "gather", "load", "num_processes", "rank",
    "save", "shared_step",
]  # fmt: skip

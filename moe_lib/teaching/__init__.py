"""What the chapters share: profile and record, claims, tables, figures and drawings.

`figures` is a module of its own (`from moe_lib.teaching import figures`), so that nothing draws before it is asked to.
"""

from moe_lib.teaching.chapter import Chapter, mean_sd, one_thread, show_markdown, show_table, value_range
from moe_lib.teaching.claims import Claims
from moe_lib.teaching.diagrams import diagram, pictogram

__all__ = [
    "Chapter",
    "Claims",
    "diagram",
    "mean_sd",
    "one_thread",
    "pictogram",
    "show_markdown",
    "show_table",
    "value_range",
]

"""The exercises of the book check themselves: a hint for a wrong answer, never the solution.

    from moe_lib.exercises import check

    check("02.1", (0.5, -0.5))

The questions are at the end of each chapter. `key` knows what is right and which mistakes are easily made, `answers`
the kinds of answers, and `solutions` computes the right ones in other ways than the chapters do.
"""

from moe_lib.exercises.check import check

__all__ = ["check"]

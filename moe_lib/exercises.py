"""The exercises of the book check themselves: a hint for a wrong answer, never the solution.

    from moe_lib.exercises import check

    check("02.1", (0.5, -0.5))

The questions stand at the end of each chapter; `questions` knows what is right, and which mistakes are easily made.
"""

import re

from IPython import get_ipython
from IPython.display import display

from moe_lib.answers import Exercise, blank
from moe_lib.questions import EXERCISES


def check(name: str, answer: object = None) -> bool:
    """Whether the answer to an exercise is right; shows why it matters, or a hint.

    Args:
        name: chapter and exercise, "02.1".
        answer: a number, several in a tuple, a word, or a function, as the exercise asks. Without one, says what is
            asked for.

    Raises:
        ValueError: if there is no such exercise; it says which there are.
    """
    name, exercise = _find(name)
    right, verdict = judge(exercise, answer)
    _show(f"{'✓' if right else '✗'} **Exercise {name}**: {verdict}")
    return right


def judge(exercise: Exercise, answer: object) -> tuple[bool, str]:
    """Whether an answer is right, and what to say of it."""
    kind = exercise.answer
    if blank(answer):
        return False, f"your answer, please: {kind.form}."
    try:
        given = kind.read(answer)
    except ValueError as unreadable:
        return False, f"{unreadable}. Expected is {kind.form}."
    if kind.same(given, kind.read(kind.truth)):
        return True, f"right. {exercise.why}"
    hints = (hint for trap, hint in exercise.traps.items() if kind.same(given, kind.read(trap)))
    return False, f"not yet. {next(hints, exercise.hint)}"


def _find(name: object) -> tuple[str, Exercise]:
    """An exercise and its full name, for "02.1", "2.1" and the like."""
    parts = re.fullmatch(r"0?(\d)\.(\d)", str(name).strip())
    written = f"0{parts[1]}.{parts[2]}" if parts else str(name)
    if written not in EXERCISES:
        raise ValueError(f"there is no exercise {name!r}; there are {', '.join(EXERCISES)}")
    return written, EXERCISES[written]


def _show(text: str) -> None:
    """Markdown in Jupyter and Colab, plain text elsewhere."""
    if get_ipython() is None:
        print(text)
    else:
        display({"text/markdown": text, "text/plain": text}, raw=True)

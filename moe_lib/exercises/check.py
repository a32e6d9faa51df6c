"""Whether an answer is right, and what a reader is told about it."""

import re
import sys
from collections.abc import Iterator
from typing import Any

from moe_lib.exercises.answers import Exercise, blank
from moe_lib.exercises.key import EXERCISES

PLAIN = {"✓": "+", "✗": "x", "σ": "sigma", "λ": "lambda", "π": "pi"}  # for a console that cannot show them


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
    fitting = ((right, said) for to, right, said in verdicts(exercise) if to is None or kind.same(given, to))
    return next(fitting)


def verdicts(exercise: Exercise) -> Iterator[tuple[Any, bool, str]]:
    """To which answer, as its kind reads it, what is said: to the right one, to foreseen mistakes, to any other (None).

    The first that fits counts. The second of the three is whether the answer is right.
    """
    read = exercise.answer.read
    yield read(exercise.answer.truth), True, f"right. {exercise.why}"
    for trap, hint in exercise.traps.items():
        yield read(trap), False, f"not yet. {hint}"
    yield None, False, f"not yet. {exercise.hint}"


def _find(name: object) -> tuple[str, Exercise]:
    """An exercise and its full name, for "02.1", "2.1" and the like."""
    parts = re.fullmatch(r"0?(\d)\.(\d)", str(name).strip())
    written = f"0{parts[1]}.{parts[2]}" if parts else str(name)
    if written not in EXERCISES:
        raise ValueError(f"there is no exercise {name!r}; there are {', '.join(EXERCISES)}")
    return written, EXERCISES[written]


def _show(text: str) -> None:
    """Markdown in Jupyter and Colab, plain text elsewhere, in the signs that the console has."""
    if (ipython := sys.modules.get("IPython")) and ipython.get_ipython():  # never imported for this alone
        ipython.display.display({"text/markdown": text, "text/plain": text}, raw=True)
    else:
        print(printable(text, sys.stdout.encoding or "utf-8"))


def printable(text: str, encoding: str) -> str:
    """The text itself where the encoding has all of its signs, else the nearest that it has."""
    try:
        text.encode(encoding)
    except UnicodeEncodeError:
        for sign, plain in PLAIN.items():
            text = text.replace(sign, plain)
    return text.encode(encoding, "replace").decode(encoding)

"""Puts under each exercise what answers it in the page: a button for each word to choose from, or fields for numbers.

What `check` says, and to which answer, goes with it; frame.js says it. A function to write needs a notebook, as before.
"""

import json
import re
from base64 import b64encode
from html import escape

import moe_book.library  # noqa: F401  (before moe_lib: it finds the one of this checkout)
from markdown_it import MarkdownIt

from moe_lib.exercises.answers import Choice, Exercise, Numbers
from moe_lib.exercises.check import verdicts
from moe_lib.exercises.key import EXERCISES

QUESTION = re.compile(r"<p><strong>(\d+\.\d)\b.*?</p>", re.DOTALL)


def form(name: str, exercise: Exercise) -> str:
    """Buttons or fields, with a place for the verdict; nothing where neither gives an answer."""
    kind = exercise.answer
    if isinstance(kind, Choice):
        parts = [f'<button value="{word}" aria-pressed="false">{word}</button>' for word in kind.options]
    elif isinstance(kind, Numbers):
        asked, count = escape(f"Your answer: {kind.form}"), len(kind.read(kind.truth))
        names = [f"{asked}, {i + 1} of {count}" for i in range(count)] if count > 1 else [asked]
        fields = [f'<input type="number" step="any" required aria-label="{field}">' for field in names]
        parts = [f"<span>{asked}</span>", *fields, "<button>Check</button>"]
    else:
        return ""
    tolerance = [getattr(kind, bound, 0) for bound in ("relative", "absolute")]
    said = [(to, f"{'✗✓'[right]} {text[0].upper()}{text[1:]}") for to, right, text in verdicts(exercise)]
    key = json.dumps([*tolerance, [(to, MarkdownIt().renderInline(text)) for to, text in said]])
    hidden = b64encode(key.encode()).decode()  # not to be read by chance
    return (
        f'<form class="exercise pst-js-only" autocomplete="off" aria-label="Exercise {name}" data-key="{hidden}">'
        f'{"".join(parts)}<p role="status"></p></form>'
    )


def offer(question: re.Match) -> str:
    """A question with its form, for the built page: what is in its source is in the text that is searched, too."""
    exercise = EXERCISES.get(question[1].zfill(4))
    return question[0] + (f"\n{form(question[1], exercise)}" if exercise else "")

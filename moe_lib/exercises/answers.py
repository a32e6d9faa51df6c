"""An exercise, and the kinds of answer: read in whatever form a reader gives them, and compared with the right one."""

import math
import reprlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor

TRIALS = 8  # random inputs on which a function is tried


class Answer(Protocol):
    """A kind of answer, with the right one."""

    truth: Any

    @property
    def form(self) -> str:
        """What is asked for, in words."""

    def read(self, answer: object) -> Any:
        """The answer in a form that `same` compares; ValueError, in words for the reader, if it is of another kind."""

    def same(self, a: Any, b: Any) -> bool:
        """Whether two answers that were read say the same."""


@dataclass(frozen=True)
class Exercise:
    """What is taken for right, and what is said to everything else. The question itself is in the chapter."""

    answer: Answer
    why: str
    """Why it matters: one sentence for a reader who got it right."""
    hint: str
    """Where to look, for a wrong answer that was not foreseen."""
    traps: dict[Any, str] = field(default_factory=dict)
    """Wrong answers that are easily given, of the same kind as the right one, each with a hint of its own."""


@dataclass(frozen=True)
class Numbers:
    """One number, or several in order: as Python or numpy numbers, as a tensor, or in a list."""

    truth: float | tuple[float, ...]
    form: str
    relative: float = 0.01
    absolute: float = 1e-6
    """How far off an answer may be: the larger of the two counts."""

    def read(self, answer: object) -> list[float]:
        numbers, wanted = _flat(answer), len(_flat(self.truth))
        if len(numbers) != wanted:
            raise ValueError(f"how many numbers are asked for: {wanted}; how many you gave: {len(numbers)}")
        return numbers

    def same(self, a: list[float], b: list[float]) -> bool:
        return all(math.isclose(x, y, rel_tol=self.relative, abs_tol=self.absolute) for x, y in zip(a, b, strict=True))


@dataclass(frozen=True)
class Choice:
    """One of a few words, in upper or lower case."""

    truth: str
    options: tuple[str, ...]

    @property
    def form(self) -> str:
        *others, last = (f'"{option}"' for option in self.options)
        return f"one of {', '.join(others)} or {last}"

    def read(self, answer: object) -> str:
        if not isinstance(answer, str):
            raise ValueError(f"you gave {_named(answer)}, and a word in quotes is asked for")
        word = " ".join(answer.casefold().split()).strip(" .!?\"'")
        if word not in self.options:
            raise ValueError(f"you gave {_named(answer)}, which is none of them")
        return word

    def same(self, a: str, b: str) -> bool:
        return a == b


@dataclass(frozen=True)
class Function:
    """A function to write, compared with another way to compute the same, on random inputs."""

    truth: Callable
    call: str
    """How it is called: "kl(m, v)"."""
    gives: str
    """What it returns, with its shape."""
    draw: Callable[[torch.Generator], tuple]
    """Random inputs."""

    @property
    def form(self) -> str:
        return f"a function, called as `{self.call}`, that returns {self.gives}"

    def read(self, answer: object) -> list[Tensor]:
        """What it returns for each of the inputs."""
        if not callable(answer):
            raise ValueError(f"you gave {_named(answer)}; hand over the function itself, by its name without brackets")
        generator = torch.Generator().manual_seed(0)
        return [self._called(answer, self.draw(generator)) for _ in range(TRIALS)]

    def same(self, a: list[Tensor], b: list[Tensor]) -> bool:
        return all(torch.allclose(x, y, rtol=1e-3, atol=1e-5, equal_nan=True) for x, y in zip(a, b, strict=True))

    def _called(self, function: Callable, inputs: tuple) -> Tensor:
        wanted = torch.as_tensor(self.truth(*inputs)).shape
        copies = [value.clone() if isinstance(value, Tensor) else value for value in inputs]  # it may write into them
        try:
            given = function(*copies)
            if given is not None:
                given = torch.as_tensor(given).detach().cpu().double()
        except Exception as error:  # whatever a reader's code may raise is part of the answer
            raise ValueError(f"called as `{self.call}`, it ended with {type(error).__name__}: {error}") from error
        if given is None:
            raise ValueError(f"called as `{self.call}`, it returns nothing yet")
        if given.shape != wanted and not given.numel() == wanted.numel() == 1:
            shapes = f"{tuple(given.shape)} where {tuple(wanted)} is asked for"
            raise ValueError(f"called as `{self.call}`, it returns numbers of shape {shapes}")
        return given.reshape(wanted)


def blank(answer: object) -> bool:
    """Whether nothing was answered: None, ..., "", "?", an empty list, or a list of such."""
    if isinstance(answer, str):
        return not answer.strip(" .?…\t\n")
    if isinstance(answer, list | tuple):
        return all(map(blank, answer))
    return answer is None or answer is ... or getattr(answer, "shape", None) == (0,)


def _flat(answer: object) -> list[float]:
    """All numbers in an answer, in order.

    Raises:
        ValueError: if there is anything else in it, in words for the reader.
    """
    if hasattr(answer, "tolist"):  # a tensor, or anything of numpy
        answer = answer.tolist()
    if isinstance(answer, list | tuple):
        return [number for part in answer for number in _flat(part)]
    try:
        number = math.nan if isinstance(answer, bool) else float(answer)
    except (TypeError, ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"you gave {_named(answer)}, which cannot be read as a number")
    return [number]


def _named(answer: object) -> str:
    return f"`{' '.join(reprlib.repr(answer).split())}` ({type(answer).__name__})"

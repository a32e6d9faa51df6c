"""Two novels as numbers, one a character, from inside the package."""

import lzma
from importlib.resources import files
from typing import NamedTuple

import torch
from torch import Tensor


class Text(NamedTuple):
    """A text, cut into what a model learns from and what it is asked about."""

    train: Tensor  # int64, one number a character: its place in the alphabet
    test: Tensor
    alphabet: str  # every character that occurs, in order

    def spell(self, codes: Tensor) -> str:
        """The characters of some numbers."""
        return "".join(self.alphabet[code] for code in codes.tolist())


def austen() -> Text:
    """Jane Austen's *Pride and Prejudice* and *Persuasion*, 1.15 million characters; the last tenth of each is `test`.

    The texts of Project Gutenberg, in the public domain, reduced to 77 ASCII characters. Nothing is downloaded.
    """
    archive = files("moe_lib") / "assets" / "austen.txt.xz"
    try:
        text = lzma.decompress(archive.read_bytes()).decode("ascii")
        first, second = text.split("\n\n\n")
    except (OSError, EOFError, ValueError, lzma.LZMAError) as error:
        raise RuntimeError(f"{archive} is damaged ({error}). Install moe_lib again") from error
    alphabet = "".join(sorted(set(text)))
    novels = [torch.tensor([alphabet.index(character) for character in novel]) for novel in (first, second)]
    halves = [novel.tensor_split([len(novel) * 9 // 10]) for novel in novels]
    train, test = (torch.cat(parts) for parts in zip(*halves, strict=True))
    return Text(train, test, alphabet)


def windows(codes: Tensor, length: int = 128) -> tuple[Tensor, Tensor]:
    """Pieces of a text that follow one another, and the character after each of theirs: (n, length) each."""
    if not 0 < length < len(codes):
        raise ValueError(f"length is {length}; windows of a text of {len(codes)} have 1 to {len(codes) - 1} characters")
    n = (len(codes) - 1) // length
    return codes[: n * length].view(n, length), codes[1 : n * length + 1].view(n, length)

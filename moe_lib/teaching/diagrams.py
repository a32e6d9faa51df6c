"""The book's diagrams: a manager, its experts and what flows between them, as SVG that every Jupyter shows."""

import re
from base64 import b64encode
from html import unescape
from pathlib import Path

FOLDER = Path(__file__).with_name("diagrams")
PICTOGRAMS = Path(__file__).with_name("pictograms")


class Diagram(str):
    """A drawing in SVG. Jupyter shows it, in words where it shows no SVG."""

    def _repr_svg_(self) -> str:
        return str(self)

    def __repr__(self) -> str:
        return unescape(re.search(r"<desc[^>]*>(.*?)</desc>", self)[1])


def diagram(name: str) -> Diagram:
    """One of the book's diagrams: "eleven modules", "tree of experts", and others.

    Raises:
        ValueError: if there is none of this name.
    """
    files = {path.stem.replace("-", " "): path for path in sorted(FOLDER.glob("*.svg"))}
    if (path := files.get(name.lower())) is None:
        raise ValueError(f"diagram is {name!r}; choose one of {', '.join(files)}")
    return Diagram(path.read_text("utf-8"))


def pictogram(chapter: int) -> str:
    """The small picture of a chapter, in HTML that needs no file: for the cards of the first page.

    Raises:
        FileNotFoundError: if there is no such chapter.
    """
    picture = b64encode((PICTOGRAMS / f"{chapter}.svg").read_bytes()).decode()
    source = f"data:image/svg+xml;base64,{picture}"
    return f'<img src="{source}" alt="Pictogram of chapter {chapter}" width="160" height="90">'

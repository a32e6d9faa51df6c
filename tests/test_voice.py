"""How the book sounds and looks, as far as a machine can tell: words that we no longer use, links, folds, figures.

Chapters and pages join when they are written again: add them to REWRITTEN.
"""

import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import nbformat
import pytest

from moe_lib.records import provenance

BOOK, ROOT = provenance.BOOK, provenance.ROOT
REWRITTEN = (
    "intro",
    "01_cheating",
    "02_two_parabolas",
    "03_kmeans",
    "04_degenerate_manager",
    "05_moe_vae",
    "07_how_good",
    "08_ladder",
    "11_router",
)
by_name = pytest.mark.parametrize("name", REWRITTEN)
WIDEST = 88  # characters of a visible line of code: its box at 1280 pixels
PHONE, SMALLEST = 358, 11  # pixels: the column of a phone 390 pixels wide, and its smallest text

# Instead of the field's own word, or of plain English.
RETIRED = r"""
swayed | pictures\ that\ move | (?:put|stands?|stood)\ upright | manager\ rests | hesitat\w+ | sureness | evenness
| alive | (?:live|living)\ experts?
| (?:the|a|their|its|this|that|such\ a|no)\ blend | blend(?:s|ed|ing)? | narrow\ place
| sorted\ correctly | right\ pile | told\ every\ digit | oracle | whoever | nobody | of\ its\ own | dear(?:er|ly)?
| mend(?:s|ed|ing)? | heap | for\ ever | has\ got | have\ got | stands\ (?:on|at|in|under|beside|for|once|there)
"""
RETIRED_WORDS = re.compile(rf"\b(?:{RETIRED})\b", re.IGNORECASE | re.VERBOSE)
AS_A_NAME = re.compile(r"""["'](?:oracle)["']|oracle=""")  # under which a chapter records a number for others

FOLDED_TEXT = re.compile(r"<details>.*?</details>", re.DOTALL)
CODE_BLOCK = re.compile(r"```.*?```", re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\([^)]*\)")
MENTION = re.compile(r"\b(?:chapters?\ (?:\d|one\b|two\b)|exercises?\ \d|playgrounds?\b)", re.IGNORECASE | re.VERBOSE)
OF_THIS_CELL = re.compile(r"^\*\*(\d+\.\d)\*\*", re.MULTILINE)


def read(name: str) -> nbformat.NotebookNode:
    return nbformat.read(BOOK / f"{name}.ipynb", as_version=4)


def folded(cell: nbformat.NotebookNode) -> bool:
    return bool({"hide-input", "hide-cell", "remove-input"} & set(cell.metadata.get("tags", [])))


def words(cell: nbformat.NotebookNode) -> list[str]:
    """All that a reader meets in a cell: its text or code, caption, alternative, and what it printed."""
    of_figure = cell.metadata.get("mystnb", {})
    said = [cell.source, of_figure.get("figure", {}).get("caption", ""), of_figure.get("image", {}).get("alt", "")]
    for out in cell.get("outputs", []):
        said += [out.get("text", ""), out.get("data", {}).get("text/markdown", "")]
    return said


def retired(text: str) -> list[str]:
    return RETIRED_WORDS.findall(AS_A_NAME.sub("", text))


def unlinked(markdown: str) -> list[str]:
    """Mentions of a chapter, an exercise or a playground that lead nowhere."""
    return [mention[0] for mention in MENTION.finditer(LINK.sub("", CODE_BLOCK.sub("", markdown)))]


@by_name
def test_retired_words_are_absent(name):
    found = [(word, text[:80]) for cell in read(name).cells for text in words(cell) for word in retired(text)]
    assert not found


def test_retired_words_are_absent_from_the_readme():
    assert not retired((ROOT / "README.md").read_text("utf-8"))


@by_name
def test_every_mention_is_a_link(name):
    cells = [cell for cell in read(name).cells if cell.cell_type == "markdown"]
    assert not [mention for cell in cells for mention in unlinked(cell.source)]
    captions = [cell.metadata.get("mystnb", {}).get("figure", {}).get("caption", "") for cell in read(name).cells]
    assert not [mention for caption in captions for mention in unlinked(caption)]


@by_name
def test_visible_code_fits_its_box(name):
    code = [cell for cell in read(name).cells if cell.cell_type == "code" and not folded(cell)]
    assert not [line for cell in code for line in cell.source.splitlines() if len(line) > WIDEST]
    texts = [cell.source for cell in read(name).cells if cell.cell_type == "markdown"]
    blocks = [block for text in texts for block in CODE_BLOCK.findall(text)]
    assert not [line for block in blocks for line in block.splitlines() if len(line) > WIDEST]


@by_name
def test_a_fold_says_what_is_in_it(name):
    for cell in read(name).cells:
        if cell.cell_type == "code" and folded(cell) and "remove-input" not in cell.metadata.tags:
            first, label = cell.source.splitlines()[0], cell.metadata.get("mystnb", {})
            assert first.startswith("# ") and len(first) > 10, f"begin with a comment that says what is folded: {first}"
            assert label.get("code_prompt_show") == label.get("code_prompt_hide") == first[2:].strip()


def is_figure(cell: nbformat.NotebookNode) -> bool:
    return any(key.startswith("image/") for out in cell.get("outputs", []) for key in out.get("data", {}))


@by_name
def test_every_figure_has_a_number_a_caption_and_words(name):
    names = []
    for cell in read(name).cells:
        if is_figure(cell):
            of_figure = cell.metadata.get("mystnb", {})
            assert len(of_figure.get("figure", {}).get("caption", "")) > 30, cell.source[:80]
            assert len(of_figure.get("image", {}).get("alt", "")) > 30, cell.source[:80]
            names.append(of_figure["figure"].get("name"))
    assert all(names) and len(set(names)) == len(names), "a name makes a number and a link"


def text_sizes(svg: str) -> list[float]:
    """How large the words of a figure are on a phone, in pixels; subscripts, which are spans, may be smaller."""
    tree = ElementTree.fromstring(svg)
    unit = 4 / 3 if tree.get("width", "").endswith("pt") else 1
    width = float(tree.get("viewBox").split()[2])
    shown = min(PHONE, width * unit) / width  # pixels for each unit of the drawing
    sizes = []
    for part in tree.iter():
        style = "" if part.tag.endswith("tspan") else part.get("style") or ""
        found = re.search(r"font(?:-size)?: *(?:[a-z0-9]+ )*?([\d.]+)px", style)
        if found and "".join(part.itertext()).strip():
            sizes.append(float(found[1]))
        elif part.get("font-size") and not part.tag.endswith("tspan"):
            sizes.append(float(part.get("font-size")))
    return [size * shown for size in sizes]


@by_name
def test_every_figure_is_a_drawing_that_a_phone_can_show(name):
    for cell in read(name).cells:
        for out in cell.get("outputs", []):
            data = out.get("data", {})
            assert "image/png" not in data, f"no SVG: {cell.source[:80]}"
            if "image/svg+xml" in data:
                small = [size for size in text_sizes(data["image/svg+xml"]) if size < SMALLEST - 0.05]
                assert not small, f"text of {min(small):.1f} pixels: {cell.source[:80]}"


def test_the_cards_tell_each_chapters_title_and_reading_time():
    (cards,) = [cell.source for cell in read("intro").cells if "cards" in cell.metadata.get("tags", [])]
    told = {name: (title, time) for name, title, time in re.findall(r'\("(\d\d_\w+)", "(.*?)", ".*", (\d+)\)', cards)}
    for path in provenance.chapters():
        if path.stem != "intro":
            text = "\n".join(cell.source for cell in read(path.stem).cells if cell.cell_type == "markdown")
            title, time = re.search(r"^# (.*)", text)[1], re.search(r"Reading time about (\d+) minutes", text)[1]
            assert told.pop(path.stem) == (title, time)
    assert not told


# --- The checks can fail ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", ["Whoever looks", "it has got one", "an oracle", "the experts blend", "Nobody", "put upright", "the heap"]
)
def test_a_retired_word_is_found(text):
    assert len(retired(text)) == 1


@pytest.mark.parametrize("text", ["it stands to reason", "recommend", "amended", "chapter.record(oracle=oracles)"])
def test_a_word_that_only_looks_alike_is_not(text):
    assert not retired(text)


def test_a_mention_without_a_link_is_found():
    assert unlinked("see chapter 4, [chapter 5](05_moe_vae.ipynb) and exercise 4.2; the Playground") == [
        "chapter 4",
        "exercise 4",
        "Playground",
    ]


def test_small_text_in_a_figure_is_found():
    svg = '<svg width="403.2pt" viewBox="0 0 403.2 100"><text style="font: {}px Arial">x</text></svg>'
    assert min(text_sizes(svg.format(13))) >= SMALLEST > min(text_sizes(svg.format(12)))
    assert text_sizes('<svg width="700" viewBox="0 0 700 9" font-size="24"/>') == [pytest.approx(24 * 358 / 700)]


def test_this_list_names_chapters():
    assert all(Path(BOOK / f"{name}.ipynb").is_file() for name in REWRITTEN)

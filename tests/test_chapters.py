"""Every chapter: fresh, whole, readable anywhere, and it runs from nothing but an installed moe_lib.

A chapter runs here as it would in Colab: copied alone into an empty folder, with the package from a wheel. The
solutions of its exercises run after it, in the same kernel.
"""

import ast
import json
import re
import statistics
import subprocess
import sys
import time
import zipfile
from collections import Counter
from pathlib import Path

import execute
import nbformat
import pytest
from nbformat.v4 import new_code_cell

from moe_lib.records import provenance

CHAPTERS = provenance.chapters()
NUMBERED = [path for path in CHAPTERS if path.stem != "intro"]
by_name = pytest.mark.parametrize("path", CHAPTERS, ids=lambda path: path.stem)
numbered_by_name = pytest.mark.parametrize("path", NUMBERED, ids=lambda path: path.stem)

SMOKE_SECONDS = 60
SOLUTION = re.compile(r"<details>.*?</details>", re.DOTALL)
CODE = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def prose(notebook: nbformat.NotebookNode) -> str:
    return "\n\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")


def outputs(notebook: nbformat.NotebookNode) -> list:
    return [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]


def solutions(notebook: nbformat.NotebookNode) -> list[str]:
    return [code for folded in SOLUTION.findall(prose(notebook)) for code in CODE.findall(folded)]


def exercises(notebook: nbformat.NotebookNode) -> list[str]:
    """What a reader runs there: the import at the top, then the solutions."""
    _, _, section = prose(notebook).partition("\n## Exercises\n")
    return CODE.findall(section)


def test_the_table_of_contents_names_every_page():
    contents = (provenance.BOOK / "_toc.yml").read_text(encoding="utf-8")
    pages = {path.stem for kind in ("*.ipynb", "*.md") for path in provenance.BOOK.glob(kind)}
    assert set(re.findall(r"(?:file|root): (\w+)", contents)) == pages


@by_name
def test_its_outputs_are_those_of_its_code(path):
    reason = provenance.stale(path)
    assert reason is None, f"{path.name} is stale: {reason}. Run make execute"


@by_name
def test_it_was_run_in_full_without_an_error(path):
    notebook = read(path)
    assert not [out for out in outputs(notebook) if out.output_type == "error"]
    counts = [cell.execution_count for cell in notebook.cells if cell.cell_type == "code"]
    assert counts == list(range(1, len(counts) + 1)), "its cells ran once each, from top to bottom"
    run = execute.recorded_run(notebook)
    assert run["config"] == {"profile": "full"}
    if run["metrics"]:
        assert json.loads((provenance.BOOK / "results" / f"{path.stem}.json").read_text(encoding="utf-8"))["runs"] == [
            run
        ]


@by_name
def test_it_is_small_and_carries_no_traces(path):
    assert path.stat().st_size < 1_500_000
    notebook = read(path)
    assert set(notebook.metadata) == {"kernelspec", "language_info", "moe"}
    text = path.read_text(encoding="utf-8")
    assert "application/vnd.jupyter.widget" not in text
    assert not re.search(r"/(root|home|Users|tmp|work)/", text), "a path of somebody's machine"
    said = [out["text"] for out in outputs(notebook) if out.get("name") == "stderr"]
    # What is true of the processor that it ran on may be said; warnings and progress bars may not.
    assert not [text for text in said if not text.startswith("UserWarning: this cpu has no bfloat16 of its own")]


@by_name
def test_it_starts_as_every_chapter_does(path):
    cells = read(path).cells
    code = [cell for cell in cells if cell.cell_type == "code"]
    assert cells[0].source.startswith("# ")
    assert f"/blob/main/book/{path.name})" in cells[0].source, "the link to Colab"
    assert 'find_spec("moe_lib") is None' in code[0].source
    assert "%pip install" in code[0].source
    assert code[1].metadata.tags == ["parameters"]
    assert 'profile = "full"' in code[1].source
    assert code[-1].source == "chapter.close()"


@numbered_by_name
def test_it_has_the_parts_of_a_chapter(path):
    notebook = read(path)
    text = prose(notebook)
    headings = re.findall(r"(?m)^## (.*)$", text)
    assert "**What you will learn**" in text
    assert headings[-4:] == ["What this chapter claims", "Summary", "Exercises", "References"]
    assert len(solutions(notebook)) >= 3
    claims = [out.data["text/markdown"] for out in outputs(notebook) if "| promised |" in str(out.get("data"))]
    assert claims[0].count("| ✓ |") >= 3
    assert "✗" not in claims[0]
    assert "| – |" not in claims[0]


@by_name
def test_it_reads_the_same_in_jupyter_colab_and_html(path):
    text = prose(read(path))
    assert not re.search(r"\{[a-z:]+\}`|^:::|^```\{", text, re.MULTILINE), "MyST-only markup"
    assert not re.search(r"!\[[^\]]*\]\(|<img", text), "a picture that is not in the notebook"
    links = re.findall(r"\]\(([^)]+)\)", text)
    pages = {page.name for page in provenance.BOOK.iterdir()} | {""}  # of this book; Colab alone cannot follow them
    assert [link for link in links if not link.startswith("https://") and link.partition("#")[0] not in pages] == []


@by_name
def test_every_picture_has_words(path):
    for cell in read(path).cells:
        if cell.cell_type == "code" and any("image/" in str(out.get("data", {}).keys()) for out in cell.outputs):
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            assert len(alt) > 30, f"no text alternative: {cell.source[:80]}"


def test_a_drawing_is_rounded_and_its_words_are_not():
    svg = '<path d="M1.23456,-0.5 L10.999" transform="scale(0.29567)"/><text x="7.129">0.0001</text>'
    out = {"output_type": "display_data", "data": {"image/svg+xml": svg}, "metadata": {}}
    notebook = nbformat.v4.new_notebook(cells=[new_code_cell("", outputs=[nbformat.from_dict(out)])])
    (drawn,) = outputs(execute.tidy(notebook))
    assert drawn.data["image/svg+xml"] == (
        '<path d="M1.23,-0.5 L10.99" transform="scale(0.29567)"/><text x="7.12">0.0001</text>'
    )


@by_name
def test_its_cells_are_short(path):
    lines = [[line for line in code.splitlines() if line.strip()] for code in provenance.code_of(path)]
    assert statistics.median(map(len, lines)) <= 10
    assert max(map(len, lines)) <= 25


def test_no_function_is_defined_in_two_chapters():
    defined = Counter()
    for path in CHAPTERS:
        code = "\n".join(provenance.MAGIC.sub(r"\1pass", cell) for cell in provenance.code_of(path))
        names = {n.name for n in ast.walk(ast.parse(code)) if isinstance(n, ast.FunctionDef | ast.ClassDef)}
        defined.update(names)
    assert [name for name, times in defined.items() if times > 1] == []


def test_no_training_call_is_given_labels():
    """Labels may pick the images of chapter 1's experts, which cheats on purpose; no call that trains is handed any."""
    for path in CHAPTERS:
        for code in provenance.code_of(path):
            for call in ast.walk(ast.parse(provenance.MAGIC.sub(r"\1pass", code))):
                if isinstance(call, ast.Call) and getattr(call.func, "id", "") in {"fit", "fit_parabolas", "best_of"}:
                    assert "label" not in ast.unparse(call), f"{path.name}: {ast.unparse(call)}"


@pytest.fixture(scope="session")
def installed(tmp_path_factory) -> Path:
    """A folder with moe_lib as its wheel installs it; on PYTHONPATH it hides the checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, provenance.ROOT]
    subprocess.run(build, check=True)
    (wheel,) = folder.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture(scope="module")
def seconds(request):
    """How long each chapter took, told at the end: a busy machine is no failure, and a slow chapter should be seen."""
    taken: dict[str, float] = {}
    yield taken
    lines = [
        f"{name} in smoke: {number:.0f} s"
        + ("" if number <= SMOKE_SECONDS else f", more than the {SMOKE_SECONDS} s that readers are promised")
        for name, number in taken.items()
    ]
    with request.config.pluginmanager.get_plugin("capturemanager").global_and_fixture_disabled():
        print("", *lines, sep="\n")


@pytest.fixture
def kernel(installed, monkeypatch):
    """Kernels find the wheel; their threads sleep while they wait, and a cell may take its time on a busy machine."""
    monkeypatch.setenv("PYTHONPATH", str(installed))
    monkeypatch.setenv("OMP_WAIT_POLICY", "PASSIVE")
    monkeypatch.setitem(execute.TIMEOUT, "smoke", 1800)


@pytest.mark.chapter
@by_name
def test_it_runs_alone_in_smoke_with_its_solutions(path, installed, kernel, seconds, tmp_path):
    notebook = read(path)
    where = "import moe_lib\nprint('moe_lib from', moe_lib.__file__)"
    notebook.cells += [new_code_cell(code) for code in [*exercises(notebook), *resumed(notebook), where]]
    alone = tmp_path / "alone"
    alone.mkdir()
    nbformat.write(notebook, alone / path.name)

    start = time.perf_counter()
    ran = execute.run(alone / path.name, tmp_path / "ran.ipynb", "smoke", cwd=alone, progress=False)
    seconds[path.stem] = time.perf_counter() - start
    assert str(installed) in outputs(ran)[-1].text, "it did not run from the wheel"
    assert execute.recorded_run(ran)["config"] == {"profile": "smoke"}
    left = {file.name for file in alone.iterdir()} - {path.name}
    assert left == ({f"{path.stem}_smoke_1.safetensors"} if resumed(notebook) else set()), "it left files behind"


def resumed(notebook: nbformat.NotebookNode) -> list[str]:
    """Where a chapter keeps a checkpoint, the cells that build and train its model once more, and what must come out:
    the checkpoint holds every epoch, so nothing is trained, and the figures have all that they had.
    """
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    training = [cell for cell in code if '"checkpoint": checkpoint' in cell]
    if not training:
        return []
    building = [cell for cell in code if cell.startswith("torch.manual_seed(seed)\nmodel = ")]
    before = "before = history.seconds, measured, torch.stack(list(snapshots.values()))"
    after = "assert (history.seconds, measured) == before[:2]\n"
    after += "assert torch.equal(torch.stack(list(snapshots.values())), before[2])\n"
    after += "assert list(snapshots) == sorted(snapshots)"
    return [before, building[0], training[0], after]


def test_an_unknown_parameter_is_an_error(tmp_path):
    with pytest.raises(ValueError, match="no parameter typo; it has profile, seed"):
        execute.run(CHAPTERS[0], tmp_path / "ran.ipynb", "smoke", cwd=tmp_path, progress=False, typo=3)


@pytest.mark.chapter
def test_an_unknown_profile_ends_the_run(kernel, tmp_path):
    with pytest.raises(Exception, match="profile is 'fast'; choose one of full, smoke"):
        execute.run(CHAPTERS[0], tmp_path / "ran.ipynb", "fast", cwd=tmp_path, progress=False)

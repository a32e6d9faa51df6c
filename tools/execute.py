"""Runs the chapters whose outputs are stale, in full, and puts the outputs where readers find them.

    python tools/execute.py                      every stale chapter
    python tools/execute.py 03_kmeans --force    this one, stale or not

A chapter that fails leaves the committed one as it was. The numbers that it records for others go to book/results.
"""

import argparse
import os
import re
import sys
import tempfile
import time
from pathlib import Path

import nbformat
import papermill

from moe_lib.records.provenance import BOOK, chapters, fingerprint, stale
from moe_lib.records.results import save_results

BAR = re.compile(r"\d+%\|.*\||^\s*\r?$")
TAG = re.compile("<[^>]*>")
FINER = re.compile(r'transform="[^"]*"|(\d\.\d\d)\d+')  # of a drawing, places to a hundredth of a point; no scale
TIMEOUT = {"full": 3600, "smoke": 120}  # seconds a cell: a kernel that hangs ends


def run(
    source: Path, target: Path, profile: str, cwd: Path, progress: bool = True, **parameters
) -> nbformat.NotebookNode:
    """Runs one notebook into another file and returns it, tidied.

    Raises:
        ValueError: if a parameter is none of the notebook's; papermill alone would only warn.
        papermill.PapermillExecutionError: if a cell fails.
    """
    known = papermill.inspect_notebook(str(source))
    parameters = parameters | ({} if profile == "full" else {"profile": profile})
    if unknown := set(parameters) - set(known):
        raise ValueError(f"{source.name} has no parameter {', '.join(sorted(unknown))}; it has {', '.join(known)}")
    papermill.execute_notebook(
        str(source),
        str(target),
        parameters=parameters,
        cwd=str(cwd),
        progress_bar=progress,
        kernel_name="python3",
        start_timeout=120,
        execution_timeout=TIMEOUT.get(profile, 120),
    )
    return tidy(nbformat.read(target, as_version=4))


def tidy(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Without time stamps, the traces of progress bars and needless bytes: what is left changes only with a result."""
    notebook.metadata = nbformat.from_dict(
        {
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        }
    )
    for cell in notebook.cells:
        cell.metadata.pop("papermill", None)
        cell.metadata.pop("execution", None)
        if not cell.metadata.get("tags"):
            cell.metadata.pop("tags", None)  # papermill gives every cell an empty list
        if cell.cell_type == "code":
            for out in cell.outputs:
                if out.get("name") == "stderr":  # a progress bar is a line that returns to its start again and again
                    out.text = "".join(line for line in out.text.splitlines(keepends=True) if not BAR.search(line))
                    out.text = re.sub(
                        r"\S*[/\\]ipykernel_\d+[/\\]\d+\.py:\d+: ", "", out.text
                    )  # a path of this machine
                if svg := out.get("data", {}).get("image/svg+xml"):
                    out.data["image/svg+xml"] = TAG.sub(lambda tag: FINER.sub(lambda n: n[1] or n[0], tag[0]), svg)
            cell.outputs = [out for out in cell.outputs if out.get("text", "some").strip()]
    return notebook


def recorded_run(notebook: nbformat.NotebookNode) -> dict | None:
    """The record that `Chapter.close` left in the outputs."""
    outputs = [out for cell in notebook.cells if cell.cell_type == "code" for out in cell.outputs]
    return next((out.metadata["moe_run"] for out in outputs if "moe_run" in out.get("metadata", {})), None)


def save_cover(notebook: nbformat.NotebookNode) -> None:
    """The picture of the cell tagged `cover` is the README's."""
    for cell in notebook.cells:
        if "cover" in cell.metadata.get("tags", []):
            svg = next(out.data["image/svg+xml"] for out in cell.outputs if "image/svg+xml" in out.get("data", {}))
            (BOOK / "_static" / "cover.svg").write_text(svg, encoding="utf-8", newline="\n")


def refresh(path: Path) -> None:
    """Runs a chapter in full and replaces it and its results file."""
    of_this_code = fingerprint(path)
    with tempfile.TemporaryDirectory() as empty:  # a chapter may rely on nothing beside it, as in Colab
        notebook = run(path, Path(empty) / path.name, "full", Path(empty))
    record = recorded_run(notebook)
    if record is None:
        sys.exit(f"{path.name} ends without chapter.close(): its run left no record")
    notebook.metadata["moe"] = {"fingerprint": of_this_code}  # of the code that ran, should it have changed since
    scratch = path.with_suffix(f".{os.getpid()}.part")
    nbformat.write(notebook, scratch)
    os.replace(scratch, path)
    if record["metrics"]:
        what, results = f"chapter {path.stem}, its own run", BOOK / "results"
        save_results(path.stem, what, "as named", [record], f"book/{path.name}", results, fingerprint=of_this_code)
    save_cover(notebook)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("chapter", nargs="*", help="names without .ipynb; all of them unless given")
    parser.add_argument("--force", action="store_true", help="run fresh chapters too")
    arguments = parser.parse_args()
    known = {path.stem: path for path in chapters()}
    if unknown := set(arguments.chapter) - set(known):
        sys.exit(f"no chapter {', '.join(sorted(unknown))}; there are {', '.join(known)} in {BOOK}")
    for name, path in known.items():
        if arguments.chapter and name not in arguments.chapter:
            continue
        reason = "asked for" if arguments.force else stale(path)
        if reason is None:
            print(f"{name}: fresh")
            continue
        print(f"{name}: running, {reason}", flush=True)
        start = time.perf_counter()
        refresh(path)
        print(f"{name}: done in {(time.perf_counter() - start) / 60:.1f} minutes, {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main()

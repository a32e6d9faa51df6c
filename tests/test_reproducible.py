"""The same book whoever builds it, where, and from which folder: byte for byte."""

import os
import shutil
import subprocess
import sys

import pytest
from visits import HTML, ROOT

pytestmark = pytest.mark.built
NEEDED = ("_config.yml", "_toc.yml", "CITATION.cff", "CHANGELOG.md", "book", "moe_lib")


def test_a_build_from_the_root_of_another_checkout_is_the_same(tmp_path):
    """`jupyter-book build .` gives what `make book` gave: no trace of a path, of time, or of an order by chance."""
    if not HTML.is_dir():
        pytest.fail("there is no built book: run `make book` first")
    for name in NEEDED:  # as files: where git makes no symlinks, too
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("_build", "__pycache__"))
        else:
            shutil.copyfile(ROOT / name, tmp_path / name)
    command = "from jupyter_book.cli.main import main; main('build . -W -n --keep-going'.split())"
    settings = {"cwd": tmp_path, "env": os.environ | {"PYTHONHASHSEED": "7"}, "encoding": "utf-8"}
    run = subprocess.run([sys.executable, "-c", command], capture_output=True, **settings)
    assert run.returncode == 0, run.stdout[-1000:] + run.stderr[-3000:]
    here, there = (
        {path.relative_to(html).as_posix(): path.read_bytes() for path in html.rglob("*") if path.is_file()}
        for html in (HTML, tmp_path / "_build" / "html")
    )
    assert {name for name in here if name.endswith(".html")} <= set(there) <= set(here)
    differing = [name for name in there if there[name] != here[name]]
    assert not differing, f"{differing}: is the built book of these sources? `make book` builds it"


def test_there_are_no_links_that_windows_would_not_make():
    listed = subprocess.check_output(["git", "-C", ROOT, "ls-files", "--stage"], encoding="utf-8").splitlines()
    assert listed and not [line for line in listed if line.startswith("120000")]

"""The repository's address: rewritten as a whole, and the same in every file."""

import json
import re
import subprocess

import pytest
from address import ROOT, Repository, current, move, parse, rewrite, text_files

OLD = Repository("old-owner", "a.book")
NEW = Repository("new-owner", "the_book")


def test_parse_takes_a_repository():
    assert parse("https://github.com/new-owner/the_book") == NEW
    assert parse(NEW.url) == NEW


@pytest.mark.parametrize(
    "url",
    [
        "",
        "github.com/new-owner/the_book",
        "http://github.com/new-owner/the_book",
        "https://gitlab.com/new-owner/the_book",
        "https://github.com/new-owner",
        "https://github.com/new-owner/",
        "https://github.com/new-owner/the_book/",
        "https://github.com/new-owner/the_book.git",
        "https://github.com/new-owner/the_book/tree/main",
        "https://github.com/-new-owner/the_book",
        "https://github.com/new owner/the_book",
        "https://github.com/new-owner/the_book\n",
        "https://github.com/new-owner/..",
    ],
)
def test_parse_refuses_anything_else(url):
    with pytest.raises(ValueError, match=r"expected https://github\.com/OWNER/NAME"):
        parse(url)


@pytest.mark.parametrize(
    "form",
    [
        "{0.url}",
        "{0.url}.",
        "{0.url}.git",
        "{0.url}/actions/workflows/test.yml/badge.svg",
        "pip install git+{0.url}@main",
        '"git+{0.url}",\\n',
        "https://colab.research.google.com/github/{0.owner}/{0.name}/blob/main/book/05_moe_vae.ipynb",
        "https://raw.githubusercontent.com/{0.owner}/{0.name}/main/picture.svg",
        "[the book]({0.pages}/intro.html)",
    ],
)
def test_rewrite_turns_every_form(form):
    assert rewrite(form.format(OLD), OLD, NEW) == form.format(NEW)


@pytest.mark.parametrize(
    "text",
    [
        "https://github.com/old-owner/a.book-two",
        "https://github.com/old-owner/a.book.two",
        "https://github.com/old-owner/a-book",
        "https://github.com/very-old-owner/a.book",
        "old-owner/a.book",
    ],
)
def test_rewrite_leaves_other_addresses(text):
    assert rewrite(text, OLD, NEW) == text


def test_move_changes_each_file_once_and_back(tmp_path):
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    files = {
        "book/_config.yml": f"title: A book\nrepository:\n  url: {OLD.url}\n  branch: main\n",
        "README.md": f"See {OLD.url}, and https://github.com/someone/else.\r\n",
        ".gitignore": "built/\n",
        "built/page.html": OLD.url,
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(text.encode())
    (tmp_path / "data.xz").write_bytes(b"\xfd7zXZ\x00" + OLD.url.encode())
    (tmp_path / "_config.yml").symlink_to("book/_config.yml")

    assert current(tmp_path) == OLD
    assert move(NEW, tmp_path) == [tmp_path / "README.md", tmp_path / "book/_config.yml"]
    assert current(tmp_path) == NEW
    assert (tmp_path / "README.md").read_bytes() == f"See {NEW.url}, and https://github.com/someone/else.\r\n".encode()
    assert move(NEW, tmp_path) == []
    move(OLD, tmp_path)
    assert {name: (tmp_path / name).read_bytes().decode() for name in files} == files


def test_config_must_name_one_repository(tmp_path):
    (tmp_path / "book").mkdir()
    (tmp_path / "book/_config.yml").write_text("title: A book\n")
    with pytest.raises(ValueError, match="once, not 0 times"):
        current(tmp_path)


def test_all_places_agree():
    """Each link into the book's own repository, of whatever form, names the repository of book/_config.yml."""
    ours = current()
    own = re.compile(
        r"colab\.research\.google\.com/github/(?P<colab>[\w.-]+/[\w.-]+)"
        r"|git\+https://github\.com/(?P<install>[\w.-]+/[\w.-]+?)(?=\.git|[^\w.-]|$)"
        rf"|github\.com/(?P<fork>[\w-]+/{re.escape(ours.name)})(?![\w.-])"
    )
    wrong = [
        f"{path.relative_to(ROOT)}: {match[0]}"
        for path, text in text_files().items()
        if path.resolve() not in (ROOT / "tests/test_address.py", ROOT / "tools/address.py")
        for match in own.finditer(text)
        if match[match.lastgroup] != f"{ours.owner}/{ours.name}"
    ]
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", ["pyproject.toml", "README.md", "CITATION.cff"])
def test_named_in(name):
    assert current().url in (ROOT / name).read_text("utf-8")


@pytest.mark.parametrize("chapter", sorted((ROOT / "book").glob("*.ipynb")), ids=lambda path: path.stem)
def test_chapter_opens_itself_in_colab(chapter):
    ours = current()
    link = f"https://colab.research.google.com/github/{ours.owner}/{ours.name}/blob/main/book/{chapter.name}"
    first = "".join(json.loads(chapter.read_text("utf-8"))["cells"][0]["source"])
    assert f"]({link})" in first, f"{chapter.name}: the first cell has no link to {link}"


def test_every_chapter_of_the_contents_exists():
    names = re.findall(r"^(?:root| *- file): *(\S+)", (ROOT / "book/_toc.yml").read_text("utf-8"), re.MULTILINE)
    assert names
    assert not [name for name in names if not list((ROOT / "book").glob(f"{name}.*"))]

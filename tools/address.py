"""Writes the repository's address into every text file that git does not ignore, in place of book/_config.yml's.

python tools/address.py https://github.com/OWNER/NAME
"""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
URL = re.compile(r"https://github\.com/([a-zA-Z0-9](?:-?[a-zA-Z0-9])*)/(?!\.\.?$)([\w.-]+)(?<!\.git)", re.ASCII)
FORMS = (
    "github.com/{}/{}", "colab.research.google.com/github/{}/{}", "raw.githubusercontent.com/{}/{}", "{}.github.io/{}",
)  # fmt: skip


def parse(url: str) -> tuple[str, str]:
    """Owner and name of a repository."""
    if match := URL.fullmatch(url):
        return match.groups()
    raise ValueError(f"{url!r} is not the address of a repository; expected https://github.com/OWNER/NAME")


def current(root: Path = ROOT) -> tuple[str, str]:
    """Owner and name of this one."""
    (url,) = re.findall(r"^repository:\n(?: .*\n)*?  url: *(\S+)", (root / "book/_config.yml").read_text("utf-8"), re.M)
    return parse(url)


def rewrite(text: str, old: tuple[str, str], new: tuple[str, str]) -> str:
    """A text with each address of one repository, and no longer one that begins alike, turned into that of another."""
    for form in FORMS:
        text = re.sub(rf"//{re.escape(form.format(*old))}(?=\.git\b|(?!\.?[\w-]))", f"//{form.format(*new)}", text)
    return text


def move(new: tuple[str, str], root: Path = ROOT) -> list[str]:
    """Rewrites the files; tells which of them changed."""
    grep = ["git", "-C", str(root), "grep", "-lzI", "--untracked", "-F", "-e", (old := current(root))[1]]
    texts = {
        name: (root / name).read_bytes() for name in subprocess.check_output(grep, encoding="utf-8").split("\0")[:-1]
    }
    moved = {name: rewrite(text.decode("utf-8"), old, new).encode() for name, text in texts.items()}  # line ends stay
    changed = [name for name in texts if moved[name] != texts[name]]
    for name in changed:
        (root / name).write_bytes(moved[name])
    return changed


if __name__ == "__main__":
    try:
        changed = move(parse(" ".join(sys.argv[1:])))
    except (OSError, ValueError, subprocess.CalledProcessError) as error:
        sys.exit(f"address: {error}")
    print("\n  ".join([f"{len(changed)} files now point at {sys.argv[1]}", *changed]))

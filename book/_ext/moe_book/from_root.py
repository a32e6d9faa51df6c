"""Lets `jupyter-book build .`, at the root of the repository, build book/ by the settings that are there."""

from pathlib import Path

from jupyter_book.config import get_final_config
from sphinx.application import Sphinx


def setup(app: Sphinx) -> None:
    app.srcdir = app.confdir = book = type(app.srcdir)(Path(app.srcdir) / "book")
    asked = {"external_toc_path": "_toc.yml", "latex_individualpages": False}
    settings, _ = get_final_config(user_yaml=book / "_config.yml", cli_config=asked, sourcedir=book)
    extensions = settings.pop("extensions")
    app.config.overrides.update(settings)
    for extension in extensions:
        app.setup_extension(extension)

"""Text is read and written as UTF-8 by name: elsewhere than on Linux and macOS another encoding may be the default."""

import ast
import re

from moe_lib.records import provenance

FOLDERS = ("moe_lib", "experiments", "benchmarks", "tools", "tests", "book/_ext")
READS = ast.parse(
    "p.open(); open(p); open(p, 'w'); p.read_text(); p.write_text(t); run(c, text=True); os.fdopen(h, 'w')"
)
FINE = (
    "p.open('rb'); open(p, 'wb'); p.read_bytes(); open(p, encoding=e); p.read_text('utf-8'); p.write_text(t, 'utf-8')"
)


def unnamed(tree: ast.AST) -> list[ast.Call]:
    """Calls that read or write text, or start a program that does, without an encoding."""
    return [node for node in ast.walk(tree) if isinstance(node, ast.Call) and _is_unnamed(node)]


def _is_unnamed(call: ast.Call) -> bool:
    name = getattr(call.func, "attr", getattr(call.func, "id", ""))
    owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
    keywords = {keyword.arg for keyword in call.keywords}
    if "encoding" in keywords:
        return False
    if f"{owner}.{name}" in ("Image.open", "os.open", "pikepdf.open", "tarfile.open", "webbrowser.open"):
        return False
    if name in ("open", "fdopen"):
        words = [a.value for a in call.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
        return not any(re.fullmatch("[rwxa+]*b[rwxa+]*", word) for word in words)
    if name in ("run", "Popen", "check_output"):
        return bool(keywords & {"text", "universal_newlines"})
    return (name == "read_text" and not call.args) or (name == "write_text" and len(call.args) < 2)


def test_the_search_finds_what_it_should():
    assert len(unnamed(READS)) == len(READS.body)
    assert unnamed(ast.parse(FINE)) == []


def test_every_file_of_text_is_opened_with_an_encoding_by_name():
    code = {
        path: path.read_text(encoding="utf-8")
        for folder in FOLDERS
        for path in sorted((provenance.ROOT / folder).rglob("*.py"))
    }
    for path in provenance.chapters():
        code[path] = provenance.MAGIC.sub(r"\1pass", "\n".join(provenance.code_of(path)))
    found = [
        f"{path.relative_to(provenance.ROOT)}:{call.lineno}: {ast.unparse(call)[:80]}"
        for path, text in code.items()
        for call in unnamed(ast.parse(text))
    ]
    assert found == [], 'say encoding="utf-8":\n' + "\n".join(found)

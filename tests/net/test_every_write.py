"""Every file that the program creates or appends to is opened where planted files are refused."""

from __future__ import annotations

import ast

from tests.imports import PACKAGE, ROOT

OPENERS = {
    "net/file_creation.py": "checks the path and the file",
    "atomic_write.py": "makes a new file with a random name and renames it, which follows no link",
    "relay/host_key.py": "the same",
    "relay/initial_files.py": "creates files only (O_EXCL), and follows no link (O_NOFOLLOW)",
    "cli/edit.py": "makes a new file with a random name (mkstemp) beside the config file",
    "demo/files.py": "writes into a folder that it has just made for itself",
    "demo/processes.py": "the same",
}
"""The modules that may open a file to write to it, and why each is safe."""

WRITING_METHODS = {"write_text", "write_bytes", "mkstemp"}
WRITING_MODES = set("wax+")


def is_opening_to_write(call: ast.Call) -> bool:
    """Return whether a call opens a file to write, as far as its text shows."""
    match call.func:
        case ast.Attribute(value=ast.Name(id="os"), attr="open"):
            return any(
                isinstance(each, ast.Attribute) and each.attr in {"O_CREAT", "O_TRUNC"}
                for argument in call.args
                for each in ast.walk(argument)
            )
        case ast.Attribute(attr=name) if name in WRITING_METHODS:
            return True
        case ast.Attribute(attr="open") | ast.Name(id="open"):
            texts = [a.value for a in call.args if isinstance(a, ast.Constant)]
            return any(
                isinstance(text, str) and len(text) <= 3 and WRITING_MODES & set(text)
                for text in texts
            )
    return False


def test_files_are_opened_to_write_only_in_modules_that_are_known_to_be_safe() -> None:
    found = {
        path.relative_to(ROOT / PACKAGE).as_posix()
        for path in (ROOT / PACKAGE).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and is_opening_to_write(node)
    }
    # These write to a descriptor that open_to_write() returned.
    found -= {"oneshot/autossh/main.py", "cli/init.py"}
    found -= {"cli/help_text.py"}  # writes to a formatter of click

    assert found <= OPENERS.keys(), "use net.file_creation.open_to_write()"

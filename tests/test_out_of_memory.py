"""No handler of every exception keeps a program alive that is out of memory."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from tests.imports import PACKAGE, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

BROAD = {"Exception", "BaseException", "MemoryError"}
FIRST = {"end_if_out_of_memory()", "self._contain(error)"}
"""What such a handler does first. `_contain` begins with the other one."""

SHORT_LIVED = ("autossh", "cli", "config", "dashboard", "demo", "importing", "presentation")
"""Layers of programs that end soon, or that a person sees."""

EXCEPTIONS = {"net/line_writer.py": "it raises the error in the thread that waits for it"}


def files() -> list[Path]:
    package = ROOT / PACKAGE
    paths = sorted(package.rglob("*.py"))
    return [path for path in paths if path.relative_to(package).parts[0] not in SHORT_LIVED]


def catches_all(handler: ast.ExceptHandler) -> bool:
    names = {
        node.id
        for node in ast.walk(handler.type or ast.Name("Exception"))
        if isinstance(node, ast.Name)
    }
    return bool(names & BROAD)


def raises_again(handler: ast.ExceptHandler) -> bool:
    return any(
        isinstance(node, ast.Raise) and node.exc is None for node in ast.walk(handler.body[-1])
    )


def faults(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if (
            isinstance(node, ast.ExceptHandler)
            and catches_all(node)
            and not raises_again(node)
            and ast.unparse(node.body[0]) not in FIRST
        ):
            yield f"{path.relative_to(ROOT)}:{node.lineno}"
        if isinstance(node, ast.FunctionDef) and node.name == "_contain":
            body = [
                each
                for each in node.body
                if not isinstance(each, ast.Expr) or not isinstance(each.value, ast.Constant)
            ]
            if ast.unparse(body[0]) != "end_if_out_of_memory()":
                yield f"{path.relative_to(ROOT)}:{node.lineno}"


def test_a_handler_of_every_exception_ends_a_process_that_is_out_of_memory() -> None:
    checked = [path for path in files() if str(path.relative_to(ROOT / PACKAGE)) not in EXCEPTIONS]

    assert [fault for path in checked for fault in faults(path)] == []

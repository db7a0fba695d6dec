"""Reads from the source who imports whom. It loads nothing of what it reads, and judges nothing."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "tunnelkeeper"


class When(Enum):
    """When an import takes effect."""

    AT_ONCE = "when the module is loaded"
    LATE = "when a function is called"
    FOR_TYPES = "for the type checker only"


@dataclass(frozen=True, slots=True)
class Import:
    """One import. importer is a module of the package.

    imported is a module where it is one of the package, else the full dotted name: random.Random.
    """

    importer: str
    imported: str
    when: When
    where: str

    @property
    def layer(self) -> str:
        """The importer's layer."""
        return layer_of(self.importer)

    @property
    def target(self) -> str:
        """What the rules speak of: a layer of the package, or a library."""
        return layer_of(self.imported)

    @property
    def is_inside(self) -> bool:
        """Whether one of our own modules is imported."""
        return self.imported.partition(".")[0] == PACKAGE

    def __str__(self) -> str:
        return f"{self.where}: {self.importer} imports {self.imported}"


def layer_of(module: str) -> str:
    """Return the folder or file directly below the package; of a library its own name."""
    top, _, rest = module.partition(".")
    return rest.partition(".")[0] or top if top == PACKAGE else top


def modules() -> dict[str, Path]:
    """Every module of the package and its file."""
    return {_module_of(path): path for path in sorted((ROOT / PACKAGE).rglob("*.py"))}


def imports() -> list[Import]:
    """Every import of the package, in the order of the source."""
    known = modules()
    return [
        Import(importer, _nearest(name, known), when, f"{path.relative_to(ROOT)}:{line}")
        for importer, path in known.items()
        for name, when, line in imports_in(path.read_text())
    ]


def imports_in(source: str) -> list[tuple[str, When, int]]:
    """Yield the imports of a source text: full dotted name, when, line."""
    return _found(ast.parse(source), When.AT_ONCE)


def _module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _nearest(name: str, known: dict[str, Path]) -> str:
    """Return the module that has a name of the package; any other name unchanged."""
    if name.partition(".")[0] != PACKAGE or name in known:
        return name
    return name.rpartition(".")[0]


def _found(node: ast.AST, when: When) -> list[tuple[str, When, int]]:
    match node:
        case ast.Import(names=names, lineno=line):
            return [(alias.name, when, line) for alias in names]
        case ast.ImportFrom(module=str(module), names=names, lineno=line, level=0):
            return [(f"{module}.{alias.name}", when, line) for alias in names]
        case ast.ImportFrom(lineno=line):
            raise ValueError(f"line {line}: imports are absolute here")
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.Lambda():
            when = When.LATE
        case ast.If(test=ast.Name(id="TYPE_CHECKING"), body=body, orelse=otherwise):
            typed = [found for child in body for found in _found(child, When.FOR_TYPES)]
            return typed + [found for child in otherwise for found in _found(child, when)]
    return [found for child in ast.iter_child_nodes(node) for found in _found(child, when)]

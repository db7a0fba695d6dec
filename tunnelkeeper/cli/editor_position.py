"""The command line that opens an editor at a line of a file, for the editors that can do so."""

from __future__ import annotations

import os
import re
import shutil
import tomllib

from tunnelkeeper.config.line_numbers import line_numbers

_PLUS_LINE = frozenset(
    {
        *("emacs", "emacsclient", "gedit", "gvim", "jmacs", "joe", "kak", "mcedit", "mg", "micro"),
        *("nano", "ne", "nvi", "nvim", "pico", "vi", "view", "vim", "vis"),
    }
)
"""Editors that take `+LINE` before the file, as vi does."""

_COLON_LINE = frozenset({"helix", "hx", "subl", "zed", "zeditor"})
"""Editors that take `FILE:LINE`."""

_GOTO = frozenset({"code", "codium", "cursor", "windsurf"})
"""Editors that take `--goto FILE:LINE`: Visual Studio Code and its relatives."""

_SUFFIX = re.compile(r"[.-].*")
"""What follows an editor's name in the name of a variant, such as vim.basic and emacs-gtk."""


def command_at_line(editor: list[str], path: str, line: int | None) -> list[str]:
    """Return the command that opens a file at a line, from 1.

    Without a line, or with an editor that is not known, it opens the file at its beginning.
    """
    names = _names(editor[0])
    if line is None or line < 2:
        return [*editor, path]
    if names & _PLUS_LINE:
        return [*editor, f"+{line}", path]
    if names & _COLON_LINE:
        return [*editor, f"{path}:{line}"]
    if names & _GOTO:
        return [*editor, "--goto", f"{path}:{line}"]
    return [*editor, path]


def line_of_tunnel(text: str, name: str) -> int | None:
    """Return the line of a tunnel's table, from 1. None if it is missing or the text is no TOML."""
    try:
        tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError):
        return None
    return line_numbers(text).get(("tunnels", name))


def _names(program: str) -> set[str]:
    """Return the names of a program: as given, and behind links, which Debian's `editor` is."""
    found = os.path.realpath(shutil.which(program) or program)
    return {_SUFFIX.sub("", os.path.basename(path)) for path in (program, found)}  # noqa: PTH119

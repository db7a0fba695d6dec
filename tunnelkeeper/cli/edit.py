"""`tunnelkeeper edit`: the config file in an editor, checked before it replaces the valid one."""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunnelkeeper.cli import config_change, launch
from tunnelkeeper.cli.check import print_findings
from tunnelkeeper.cli.editor_position import command_at_line, line_of_tunnel
from tunnelkeeper.cli.help_text import TunnelsCommand
from tunnelkeeper.cli.message_output import print_message
from tunnelkeeper.cli.settings import CommandError
from tunnelkeeper.config import ConfigError, parse
from tunnelkeeper.config.starter import HEADER
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.text import printable
from tunnelkeeper.importing import config_file
from tunnelkeeper.net.regular_file import read_regular_file

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tunnelkeeper.cli.settings import Settings

EDITORS = ("editor", "nano", "vim", "vi")
"""Programs to try, in this order, without $VISUAL and $EDITOR. Debian links the first one."""

_EXAMPLES = """\b
Examples:
  tunnelkeeper edit
  EDITOR='code --wait' tunnelkeeper edit
"""


@click.command(cls=TunnelsCommand, epilog=_EXAMPLES)
@click.pass_obj
def command(settings: Settings) -> int:
    """Open the config file in $VISUAL or $EDITOR, and check it afterwards.

    The editor works on a copy. A valid copy replaces the file, and a running supervisor that uses
    the file reloads it. Otherwise the problems are shown, and you return to the editor; without a
    terminal, the copy is kept beside the file.
    """
    if not edit_file(settings.config):
        click.echo("nothing has changed")
        return ExitCode.OK
    click.echo(f"{config_change.shown(settings.config)} is written")
    reloaded = config_change.reload_supervisor(settings)
    if reloaded is not None:
        reloaded[0].close()
    print_findings(launch.check(settings.config))
    return ExitCode.OK


def edit_file(path: Path, tunnel: str | None = None) -> bool:
    """Let the user edit a config file on this terminal. Return whether it was written.

    tunnel: the one that the editor shows first. Raises CommandError.
    """
    editor = choose_editor(os.environ, shutil.which)
    edit = _begin(path)
    line = None if tunnel is None else line_of_tunnel(edit.initial, tunnel)
    try:
        return _edit_until_valid(edit, command_at_line(editor, str(edit.copy), line)) is not None
    except OSError as error:  # such as a full disk
        reason = f"{config_change.shown(edit.path)}: {error.strerror}"
        kept = config_change.shown(edit.keep_copy())
        raise CommandError(f"{reason}; your text is in {kept}") from error
    finally:
        edit.copy.unlink(missing_ok=True)


def choose_editor(
    environment: Mapping[str, str], find_program: Callable[[str], str | None]
) -> list[str]:
    """Return the command of the editor. Raises CommandError if there is none."""
    for variable in ("VISUAL", "EDITOR"):
        value = environment.get(variable, "")
        try:
            words = shlex.split(value)
        except ValueError as error:
            raise CommandError(f"${variable} {value!r}: {error}") from None
        if words:
            return words
    for program in EDITORS:
        if find_program(program) is not None:
            return [program]
    raise CommandError(
        f"no editor was found: {', '.join(EDITORS)}", hint="EDITOR=nano tunnelkeeper edit"
    )


@dataclass(frozen=True, slots=True)
class _Edit:
    """A file and the copy that the editor works on.

    original: the text of the file when the copy was made; None if the file did not exist.
    """

    path: Path
    copy: Path
    original: str | None
    byte_order_mark: str

    @property
    def initial(self) -> str:
        """The text that the editor shows first."""
        return HEADER if self.original is None else self.original

    def keep_copy(self) -> Path:
        """Give the copy a name that lasts, beside the file. Return it."""
        names = (f"{self.path.stem}.edited{suffix}.toml" for suffix in _suffixes())
        free = (each for name in names if not (each := self.copy.with_name(name)).exists())
        return self.copy.rename(next(free))


def _suffixes() -> Iterator[str]:
    yield ""
    yield from (f"-{number}" for number in itertools.count(2))


def _begin(path: Path) -> _Edit:
    """Make a copy of the file in its folder. Raises CommandError, OSError."""
    folder = Path(os.path.realpath(path)).parent
    folder.mkdir(parents=True, exist_ok=True)
    try:
        text, mark = config_file.read_unchecked(path)
    except ConfigError as error:
        raise CommandError("\n".join(error.lines), ExitCode.USAGE) from error
    original = text if path.exists() else None
    # With its suffix, editors know the language.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.stem}.", suffix=".toml", dir=folder)
    edit = _Edit(path, Path(name), original, mark)
    with open(descriptor, "w", encoding="utf-8", newline="") as file:  # noqa: PTH123
        file.write(edit.initial)
    return edit


def _edit_until_valid(edit: _Edit, editor: list[str]) -> str | None:
    """Run the editor until the text is valid, and write it. Return None if nothing has changed.

    editor: with its arguments. Raises CommandError if the text is kept in a copy, or discarded.
    """
    while True:
        code = _run_editor(editor)
        if code:
            raise _editor_error(edit, editor, code)
        try:
            text = read_regular_file(edit.copy).decode("utf-8")
        except UnicodeDecodeError as error:
            problem = f"{config_change.shown(edit.path)}: not UTF-8 at byte {error.start}"
        else:
            if text == edit.initial:
                return None
            problem = _write_if_valid(edit, text)
            if not problem:
                return text
        print_message(problem)
        _ask_how_to_continue(edit)


def _run_editor(editor: list[str]) -> int:
    """Run the editor on this terminal. Return its exit code. Raises CommandError."""
    with _interrupts_left_to_editor():
        try:
            return subprocess.run(editor, check=False).returncode
        except OSError as error:
            raise CommandError(
                f"cannot run the editor {printable(editor[0])}: {error.strerror}",
                hint="name another one: `EDITOR=... tunnelkeeper edit`",
            ) from error


@contextmanager
def _interrupts_left_to_editor() -> Iterator[None]:
    """Ignore Ctrl-C. Unlike SIG_IGN, a handler is not passed on to the editor.

    Only the main thread may do so. Otherwise it is the caller's task.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, lambda _number, _frame: None)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _write_if_valid(edit: _Edit, text: str) -> str:
    """Replace the file by a valid text. Return the problems otherwise, a line each."""
    try:
        parse(text, str(edit.path))
    except ConfigError as error:
        return "\n".join(error.lines)
    with config_change.locked(edit.copy.parent):
        try:
            now = config_file.read_unchecked(edit.path)[0] if edit.path.exists() else None
        except ConfigError as error:
            return "\n".join(error.lines)
        if now != edit.original:
            raise CommandError(
                f"{config_change.shown(edit.path)} was changed by another program meanwhile; your "
                f"text is in {config_change.shown(edit.keep_copy())}"
            )
        config_file.write_text(edit.path, edit.byte_order_mark, text)
    return ""


def _ask_how_to_continue(edit: _Edit) -> None:
    """Return to edit again. Raises CommandError to end, with the copy kept or discarded."""
    answer = "k"
    if sys.stdin.isatty() and sys.stderr.isatty():
        try:
            answer = click.prompt(
                "e: edit again, k: keep the text in a copy and end, d: discard it",
                type=click.Choice(["e", "k", "d"]),
                default="e",
                show_choices=False,
                err=True,
            )
        except click.Abort:
            click.echo(err=True)
    if answer == "e":
        return
    unchanged = f"{config_change.shown(edit.path)} is unchanged"
    if answer == "d":
        raise CommandError(unchanged, ExitCode.USAGE)
    kept = config_change.shown(edit.keep_copy())
    raise CommandError(f"{unchanged}; your text is in {kept}", ExitCode.USAGE)


def _editor_error(edit: _Edit, editor: list[str], code: int) -> CommandError:
    """Return the error for an editor that failed. A changed text is kept."""
    ended = f"with exit code {code}" if code > 0 else f"by signal {-code}"
    message = f"the editor {printable(editor[0])} ended {ended}; nothing was changed"
    try:
        has_changed = read_regular_file(edit.copy) != edit.initial.encode()
    except OSError:
        has_changed = False
    if has_changed:
        message += f"; your text is in {config_change.shown(edit.keep_copy())}"
    return CommandError(message)

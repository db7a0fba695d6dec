"""`tunnelkeeper dashboard`: the full-screen view, and how it starts a supervisor."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunnelkeeper.cli import background, config_change, launch
from tunnelkeeper.cli.edit import edit_file
from tunnelkeeper.cli.help_text import TunnelsCommand
from tunnelkeeper.cli.settings import CommandError, Settings
from tunnelkeeper.collector import collector
from tunnelkeeper.config import ConfigError, load
from tunnelkeeper.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

C_LOCALES = frozenset({"C", "POSIX"})


_EXAMPLES = """\b
Examples:
  tunnelkeeper dashboard
  tunnelkeeper dashboard --utc
"""


@click.command(cls=TunnelsCommand, epilog=_EXAMPLES)
@click.option("--ascii", "plain", is_flag=True, help="Draw with plain ASCII.")
@click.option("--utc", is_flag=True, help="Show times in UTC, not in the local time zone.")
@click.pass_obj
def command(settings: Settings, plain: bool, utc: bool) -> int:
    """Show all tunnels on the full screen, and control them by keys: `?` lists them.

    It does not need a running supervisor, and leaving it changes nothing.
    """
    show_dashboard(
        settings.running_socket,
        supervisor_starter(settings),
        file_editor(settings),
        plain=plain,
        utc=utc,
        is_named=settings.is_socket_named,
    )
    return ExitCode.OK


def show_dashboard(
    socket: Path,
    start: Callable[[str | None], Callable[[], str | None]],
    edit: Callable[[str | None, str | None], bool],
    *,
    plain: bool = False,
    notes: tuple[str, ...] = (),
    utc: bool = False,
    is_named: bool = False,
) -> None:
    """Open the dashboard until the user leaves it.

    Raises CommandError without a terminal.
    """
    if not has_terminal():
        message = "the dashboard needs a terminal, and standard input or output is none"
        raise CommandError(message, ExitCode.USAGE, "tunnelkeeper status")
    with collector.paused():
        from tunnelkeeper.dashboard.app import run
        from tunnelkeeper.dashboard.glyphs import ASCII, UNICODE

    run(
        socket,
        start,
        edit,
        ASCII if plain or not shows_utf8(os.environ) else UNICODE,
        notes,
        utc=utc,
        is_named=is_named,
    )


def show_demo(socket: Path, tries: tuple[str, ...]) -> None:
    """Open the dashboard on the demo's supervisor, with commands to try."""

    def start(_config: str | None) -> Callable[[], str | None]:
        from tunnelkeeper.dashboard.effects import StartError

        raise StartError("the demo's supervisor has ended", hint="q ends the demo")

    show_dashboard(socket, start, file_editor(Settings()), notes=tries)


def has_terminal() -> bool:
    """Return whether there is a terminal that can be drawn on."""
    is_terminal = sys.stdin.isatty() and sys.stdout.isatty()
    return is_terminal and os.environ.get("TERM") != "dumb"


def shows_utf8(env: Mapping[str, str]) -> bool:
    """Return whether the terminal accepts UTF-8, by its locale (locale(7)).

    Without a locale it does: a container rarely sets one, and its terminal is always UTF-8.
    """
    if named := env.get("LC_ALL"):
        return _is_utf8(named)
    language = env.get("LANG", "")
    kind = env.get("LC_CTYPE", "")
    # Python itself sets LC_CTYPE to this in the C locale (PEP 538), so it means nothing.
    if kind == "C.UTF-8" and language in C_LOCALES:
        return False
    named = kind or language
    return not named or _is_utf8(named)


def _is_utf8(locale: str) -> bool:
    return locale.upper().replace("-", "").endswith("UTF8")


def supervisor_starter(settings: Settings) -> Callable[[str | None], Callable[[], str | None]]:
    """Return a function that starts a supervisor in the background, as `up --detach` does.

    The function takes the config file on the screen; None means the file of the settings.
    """
    socket = settings.running_socket

    def start(shown: str | None) -> Callable[[], str | None]:
        from tunnelkeeper.dashboard.effects import StartError

        config = settings.config if shown is None else Path(shown)
        try:
            load(config)
        except ConfigError as error:
            raise StartError("the config file has problems", tuple(error.lines)) from error
        try:
            log = background.log_for(socket, os.environ)
            arguments = launch.command_line(config, socket, (), None, log)
            started = background.start(arguments, log)
        except OSError as error:
            raise StartError(f"{error.filename}: {error.strerror}") from error

        def ended() -> str | None:
            return None if started.process.poll() is None else str(started.start_error())

        return ended

    return start


def file_editor(settings: Settings) -> Callable[[str | None, str | None], bool]:
    """Return a function that opens a config file in the user's editor, as `edit` does.

    Its arguments are the config file on the screen, where None means the file of the settings, and
    the tunnel to show first.
    """

    def edit(shown: str | None, tunnel: str | None) -> bool:
        from tunnelkeeper.dashboard.effects import EditError

        config = settings.config if shown is None else Path(shown)
        try:
            return edit_file(config, tunnel)
        except CommandError as error:
            raise EditError(str(error), error.hint) from error
        except OSError as error:
            path = config_change.shown(error.filename or config)
            raise EditError(f"{path}: {error.strerror}") from error

    return edit

"""Changes of the config file by commands: the lock, the messages, and the reload that follows."""

from __future__ import annotations

import fcntl
import os
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper.cli.message_output import print_sentence
from tunnelkeeper.cli.settings import WORK_TIMEOUT, CommandError
from tunnelkeeper.config import ConfigError
from tunnelkeeper.control.client_errors import NoSupervisorError, RemoteError
from tunnelkeeper.control.jsonrpc import ProtocolError
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.message import Message
from tunnelkeeper.core.text import printable
from tunnelkeeper.importing import config_file

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.config import Problem
    from tunnelkeeper.control.client import Client
    from tunnelkeeper.importing.config_file import ConfigFile

_PATH_LIMIT = 4096


@contextmanager
def changing(path: Path) -> Iterator[ConfigFile]:
    """Read a config file to change it. Other commands that change it wait until this one is done.

    Raises CommandError if the file is not valid.
    """
    folder = Path(os.path.realpath(path)).parent
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        try:
            yield config_file.read(path)
        except ConfigError as error:
            raise invalid_file_error(error.problems) from error


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder. It leaves no file behind.

    A file system without locks has none; then two commands at the same moment can collide.
    """
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def invalid_file_error(problems: Iterable[Problem]) -> CommandError:
    """Return the error for a file that has to be mended first."""
    lines = [*ConfigError(problems).lines, "nothing was changed"]
    return CommandError("\n".join(lines), ExitCode.USAGE, "tunnelkeeper edit")


def refused_change_error(error: ConfigError) -> CommandError:
    """Return the error for a change that would make the file invalid.

    Lines are left out: they are those of a text that is not written.
    """
    lines = [
        line
        for each in error.problems
        for line in Message(": ".join(filter(None, (each.key, each.message))), each.hint).lines
    ]
    return CommandError("\n".join([*lines, "nothing was changed"]), ExitCode.USAGE)


def shown(path: Path | str) -> str:
    """Return a path for messages."""
    return printable(str(path), _PATH_LIMIT)


def supervisor_of(settings: Settings) -> Client | None:
    """Connect to the supervisor that uses the config file; None if none does.

    Raises ProtocolError, TimeoutError, OSError.
    """
    try:
        client = settings.client(WORK_TIMEOUT)
    except NoSupervisorError:
        return None
    try:
        held = client.status().supervisor.config
    except NoSupervisorError:
        held = ""
    except BaseException:
        client.close()
        raise
    if held and os.path.realpath(held) == os.path.realpath(settings.config):
        return client
    client.close()
    return None


def reload_supervisor(settings: Settings) -> tuple[Client, list[str]] | None:
    """Reload the supervisor that uses the changed file, and print what it changed.

    Return its client, which the caller closes, and the changes; None if no supervisor uses it.
    Raises CommandError if there is one and it did not reload.
    """
    client: Client | None = None
    try:
        client = supervisor_of(settings)
        if client is None:
            return None
        changes = client.reload()
    except (
        RemoteError,
        ProtocolError,
        NoSupervisorError,
        OSError,
    ) as error:  # OSError: TimeoutError
        if client is not None:
            client.close()
        problems = error.problems if isinstance(error, RemoteError) else ()
        reason = "\n".join([str(error), *map(str, problems)])
        raise CommandError(
            f"the file was changed, but the supervisor has not reloaded it: {reason}",
            hint=getattr(error, "hint", ""),
        ) from error
    text = printable("; ".join(changes) or "nothing changed", 1000)
    print_sentence(f"the running supervisor has reloaded the file: {text}")
    return client, changes

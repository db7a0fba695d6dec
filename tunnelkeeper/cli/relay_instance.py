"""Which relay is meant: its config file, and the control socket that belongs to it.

One relay serves a config file, so each file has a socket of its own: relay.sock for the default
one. Nothing is asked of a relay here but whether it answers.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper import paths
from tunnelkeeper.cli.settings import CommandError
from tunnelkeeper.control.client import Client, NoSupervisorError
from tunnelkeeper.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings

_OF_THE_SUPERVISOR = frozenset({"TUNNELKEEPER_CONFIG", "TUNNELKEEPER_SOCKET"})


@dataclass(frozen=True, slots=True)
class Place:
    """A relay's config file and its control socket. named: whether somebody named the file."""

    config: Path
    socket: Path
    named: bool


def place_of(settings: Settings, config: str | None) -> Place:
    """The relay of a config file. config: the subcommand's own option."""
    environment = _environment()
    option = config if config is not None else settings.config_option
    default = Path.cwd() / paths.config_path(None, environment).with_name("relay.toml")
    file = default if option is None else Path.cwd() / paths.config_path(option, environment)
    if settings.socket_option is not None:
        socket = Path.cwd() / paths.socket_path(settings.socket_option, environment)
    else:
        socket = _folder() / _socket_name(file, default)
    return Place(file, socket, option is not None)


def connected(settings: Settings, config: str | None, timeout: float) -> Client:
    """A connection to the relay that is meant; where none is named, to the one that runs.

    timeout: seconds for an answer. Raises Failed, OSError.
    """
    place = place_of(settings, config)
    if place.named or settings.socket_option is not None:
        try:
            return Client(place.socket, timeout)
        except NoSupervisorError:
            raise _not_running(place.socket) from None
    running = [client for path in _sockets() if (client := _try(path, timeout))]
    if not running:
        raise _not_running(place.socket)
    for client in running[1:]:
        client.close()
    if len(running) > 1:
        running[0].close()
        words = f"{len(running)} relays are running; say which with --config"
        raise CommandError(words, ExitCode.USAGE)
    return running[0]


def _socket_name(file: Path, default: Path) -> str:
    if file == default:
        return "relay.sock"
    return f"relay-{hashlib.sha256(os.fsencode(file.resolve())).hexdigest()[:12]}.sock"


def _sockets() -> list[Path]:
    return sorted(_folder().glob("relay*.sock"))


def _folder() -> Path:
    return Path.cwd() / paths.socket_path(None, _environment()).parent


def _try(path: Path, timeout: float) -> Client | None:
    try:
        return Client(path, timeout)
    except NoSupervisorError:
        return None


def _not_running(socket: Path) -> CommandError:
    words = f"no relay is running at {socket}; start one with `tunnelkeeper relay serve`"
    return CommandError(words, ExitCode.NO_SUPERVISOR)


def _environment() -> dict[str, str]:
    """The environment without what names the supervisor's own file and socket."""
    return {key: value for key, value in os.environ.items() if key not in _OF_THE_SUPERVISOR}

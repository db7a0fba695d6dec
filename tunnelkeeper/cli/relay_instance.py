"""Selection of a relay: its config file and the control socket that belongs to it.

Each config file has its own socket; the default file has relay.sock. The folders are not those of
the supervisor, except that a relay.toml from before that is still read. It opens connections and
sends no request.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tunnelkeeper import paths
from tunnelkeeper.cli.settings import CommandError
from tunnelkeeper.control.client import Client
from tunnelkeeper.control.client_errors import NoSupervisorError
from tunnelkeeper.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.paths import Environment

_SUPERVISOR_VARIABLES = frozenset({"TUNNELKEEPER_CONFIG", "TUNNELKEEPER_SOCKET"})


@dataclass(frozen=True, slots=True)
class RelayInstance:
    """A relay's config file and control socket. is_named: whether an option named the file."""

    config: Path
    socket: Path
    is_named: bool


def instance_for(settings: Settings, config: str | None) -> RelayInstance:
    """Return the relay of a config file. config: the --config of the subcommand."""
    environment = _environment()
    option = config if config is not None else settings.config_option
    default = Path.cwd() / default_config(environment)
    config_file = default if option is None else Path.cwd() / paths.config_path(option, environment)
    if settings.socket_option is not None:
        socket = Path.cwd() / paths.socket_path(settings.socket_option, environment)
    else:
        socket = _runtime_dir() / _socket_name(config_file, default)
    return RelayInstance(config_file, socket, option is not None)


def config_of(settings: Settings, config: str | None) -> tuple[Path, bool]:
    """Return relay.toml, and whether it must exist; that of the system if there is no other."""
    instance = instance_for(settings, config)
    system = paths.RELAY_SYSTEM_FOLDER / paths.RELAY_CONFIG
    if not instance.is_named and not instance.config.exists() and system.exists():
        return system, True
    return instance.config, instance.is_named


def default_config(env: Environment) -> Path:
    """Return the config file without --config; one beside tunnels.toml if only that exists."""
    return existing_config(
        paths.relay_config_path(env), paths.config_path(None, env).with_name(paths.RELAY_CONFIG)
    )


def existing_config(config: Path, former: Path) -> Path:
    """Return a config file, or its former path if only that exists."""
    return former if former.exists() and not config.exists() else config


def connect(settings: Settings, config: str | None, timeout: float) -> Client:
    """Connect to the selected relay; if none is named, to the only running one.

    timeout: seconds for an answer. Raises CommandError, OSError.
    """
    instance = instance_for(settings, config)
    if instance.is_named or settings.socket_option is not None:
        try:
            return Client(instance.socket, timeout, is_named=settings.socket_option is not None)
        except NoSupervisorError:
            if settings.socket_option is not None:
                raise _not_running(instance.socket) from None
        client = _try_connect(paths.RELAY_RUNTIME_FOLDER / instance.socket.name, timeout)
        if client is None:
            raise _not_running(instance.socket)
        return client
    running = [client for path in _sockets() if (client := _try_connect(path, timeout))]
    if not running:
        raise _not_running(instance.socket)
    for client in running[1:]:
        client.close()
    if len(running) > 1:
        running[0].close()
        message = f"{len(running)} relays are running"
        raise CommandError(message, ExitCode.USAGE, "choose one with --config FILE")
    return running[0]


def _socket_name(config_file: Path, default: Path) -> str:
    if config_file == default:
        return "relay.sock"
    path = os.fsencode(os.path.realpath(config_file))
    return f"relay-{hashlib.sha256(path).hexdigest()[:12]}.sock"


def _sockets() -> list[Path]:
    """Return the sockets of relays that may run: ours, those of earlier versions, the system's."""
    former = Path.cwd() / paths.socket_path(None, _environment()).parent
    folders = (_runtime_dir(), former, paths.RELAY_RUNTIME_FOLDER)
    return [path for folder in folders for path in sorted(folder.glob("relay*.sock"))]


def _runtime_dir() -> Path:
    return Path.cwd() / paths.relay_runtime_folder(_environment())


def _try_connect(path: Path, timeout: float) -> Client | None:
    try:
        # Root may use the relay of another user in the folder that only root can create.
        return Client(path, timeout, is_named=path.parent == paths.RELAY_RUNTIME_FOLDER)
    except NoSupervisorError:
        return None


def _not_running(socket: Path) -> CommandError:
    message = f"cannot connect to the relay at {socket}: no relay is running"
    return CommandError(message, ExitCode.NO_SUPERVISOR, "tunnelkeeper relay serve")


def _environment() -> dict[str, str]:
    """Return the environment without the variables of the supervisor's file and socket."""
    return {key: value for key, value in os.environ.items() if key not in _SUPERVISOR_VARIABLES}

"""Where config, socket, lock, log and state live, by the XDG Base Directory Specification.

Nothing is created or looked at; only `~` may ask the system's list of users for a home.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping
from pathlib import Path

_FOLDER = "tunnelkeeper"

Environment = Mapping[str, str]
"""What os.environ is: handed in, so that a test or another user's service can have its own."""


def config_path(option: str | None, env: Environment) -> Path:
    """The config file: --config, else $TUNNELKEEPER_CONFIG, else tunnels.toml in its XDG folder."""
    named = _named(option, "TUNNELKEEPER_CONFIG", env)
    if named is not None:
        return expanded(named, env)
    return _xdg_folder("XDG_CONFIG_HOME", ".config", env) / "tunnels.toml"


def socket_path(option: str | None, env: Environment) -> Path:
    """The control socket: --socket, else $TUNNELKEEPER_SOCKET, else in the runtime folder.

    Without XDG_RUNTIME_DIR (no login session: cron, a container) it lies in the state folder.
    """
    named = _named(option, "TUNNELKEEPER_SOCKET", env)
    if named is not None:
        return expanded(named, env)
    runtime = _absolute(env.get("XDG_RUNTIME_DIR"))
    folder = runtime / _FOLDER if runtime else state_folder(env)
    return folder / "control.sock"


def lock_path(socket: Path) -> Path:
    """The lock file next to a control socket; one supervisor holds it."""
    return socket.with_name(socket.name + ".lock")


def log_path(env: Environment) -> Path:
    """The log of a supervisor in the background."""
    return state_folder(env) / "tunnelkeeper.log"


def state_folder(env: Environment) -> Path:
    """What outlives the supervisor and is nobody's configuration."""
    return _xdg_folder("XDG_STATE_HOME", ".local/state", env)


def user_units_folder(env: Environment) -> Path:
    """Where systemd looks for the units that a user made (systemd.unit(5))."""
    return _xdg_folder("XDG_CONFIG_HOME", ".config", env).with_name("systemd") / "user"


def home(env: Environment) -> Path:
    """$HOME, or what the system's list of users says where it is not set.

    Raises KeyError where neither names one: a user id without an entry, as in some containers.
    """
    return _absolute(env.get("HOME")) or Path(pwd.getpwuid(os.getuid()).pw_dir)


def expanded(text: str, env: Environment) -> Path:
    """A path as a person writes it, with `~` and `~user` expanded.

    The `~` of a user nobody knows stays, so that the error about the file shows what was written.
    """
    if text == "~" or text.startswith("~/"):
        return home(env) / text[2:].lstrip("/")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def _named(option: str | None, variable: str, env: Environment) -> str | None:
    """An empty variable is as good as none; an empty option is the caller's mistake to see."""
    return option if option is not None else env.get(variable) or None


def _xdg_folder(variable: str, default: str, env: Environment) -> Path:
    return (_absolute(env.get(variable)) or home(env) / default) / _FOLDER


def _absolute(text: str | None) -> Path | None:
    """None for an unset, empty or relative path: the specification has them ignored."""
    return Path(text) if text and text.startswith("/") else None

"""The paths of config, socket, lock, log and state, by the XDG Base Directory Specification.

No path is created or checked. Only `~` may look up a home folder in the user database.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping, MutableMapping
from pathlib import Path

_FOLDER = "tunnelkeeper"
_RELAY_FOLDER = "tunnelkeeper-relay"
"""The relay shares no folder with the supervisor: it may run as another user."""

RELAY_CONFIG = "relay.toml"
RELAY_SYSTEM_FOLDER = Path("/etc") / _RELAY_FOLDER
"""The folder of relay.toml for the system unit of the relay."""

RELAY_RUNTIME_FOLDER = Path("/run") / _RELAY_FOLDER
"""The folder of the control socket of a relay that systemd or root started for another user."""

Environment = Mapping[str, str]
"""The type of os.environ. It is a parameter so that tests and services can pass another one."""


def config_path(option: str | None, env: Environment) -> Path:
    """Return --config, else $TUNNELKEEPER_CONFIG, else tunnels.toml in the XDG config folder."""
    named = _named(option, "TUNNELKEEPER_CONFIG", env)
    if named is not None:
        return expanded(named, env)
    return _xdg_folder("XDG_CONFIG_HOME", ".config", env) / "tunnels.toml"


def socket_path(option: str | None, env: Environment) -> Path:
    """Return --socket, else $TUNNELKEEPER_SOCKET, else control.sock in the runtime folder.

    Without XDG_RUNTIME_DIR (cron and containers have no login session) it is in the state folder.
    """
    named = _named(option, "TUNNELKEEPER_SOCKET", env)
    if named is not None:
        return expanded(named, env)
    runtime = _absolute(env.get("XDG_RUNTIME_DIR"))
    folder = runtime / _FOLDER if runtime else state_folder(env)
    return folder / "control.sock"


def relay_config_path(env: Environment) -> Path:
    """Return the default config file of a relay."""
    return _xdg_folder("XDG_CONFIG_HOME", ".config", env, _RELAY_FOLDER) / RELAY_CONFIG


def relay_runtime_folder(env: Environment) -> Path:
    """Return the folder of the control sockets and locks of relays."""
    runtime = _absolute(env.get("XDG_RUNTIME_DIR"))
    if runtime is not None:
        return runtime / _RELAY_FOLDER
    # Not relay_state_folder(): `relay status` does not have the environment of the unit.
    return state_folder(env).with_name(_RELAY_FOLDER)


def lock_path(socket: Path) -> Path:
    """Return the lock file beside a control socket; one supervisor holds it."""
    return socket.with_name(socket.name + ".lock")


def log_path(env: Environment) -> Path:
    """Return the log file of a supervisor in the background."""
    return state_folder(env) / "tunnelkeeper.log"


def state_folder(env: Environment) -> Path:
    """Return the folder for data that outlives the supervisor and is not configuration."""
    return _xdg_folder("XDG_STATE_HOME", ".local/state", env)


def relay_state_folder(env: Environment) -> Path:
    """Return the folder for data of a relay that outlives it.

    It is the StateDirectory= of its unit (systemd.exec(5)), if there is one, and never a folder of
    a supervisor.
    """
    state = _absolute(env.get("STATE_DIRECTORY", "").partition(":")[0])
    return state or state_folder(env).with_name(_RELAY_FOLDER)


def claims_folder(env: Environment) -> Path:
    """Return the folder of the files that supervisors lock while they hold a config file."""
    return state_folder(env) / "claims"


def default_socket_path(env: Environment) -> Path:
    """Return the control socket without --socket and $TUNNELKEEPER_SOCKET."""
    return socket_path(None, {name: env[name] for name in env if name != "TUNNELKEEPER_SOCKET"})


def user_units_folder(env: Environment) -> Path:
    """Return the folder in which systemd looks for a user's own units (systemd.unit(5))."""
    return _xdg_folder("XDG_CONFIG_HOME", ".config", env).with_name("systemd") / "user"


def home(env: Environment) -> Path:
    """Return $HOME, else the home folder from the user database.

    Raises KeyError if there is neither; set_account_variables prevents that.
    """
    return _absolute(env.get("HOME")) or Path(pwd.getpwuid(os.getuid()).pw_dir)


def set_account_variables(env: MutableMapping[str, str]) -> None:
    """Set HOME and LOGNAME, if missing, for a user id without an entry in the user database.

    Containers run programs with such ids. Libraries and child programs read these variables, and
    most of them fail without both. `/` is the home folder that container runtimes choose.
    """
    try:
        pwd.getpwuid(os.getuid())
    except KeyError:
        if _absolute(env.get("HOME")) is None:
            env["HOME"] = "/"
        if not env.get("LOGNAME"):
            env["LOGNAME"] = env.get("USER") or str(os.getuid())


def expanded(text: str, env: Environment) -> Path:
    """Expand `~` and `~user` in a path.

    The `~` of an unknown user stays, so that error messages show the path as it was written.
    """
    if text == "~" or text.startswith("~/"):
        return home(env) / text[2:].lstrip("/")
    try:
        return Path(text).expanduser()
    except RuntimeError:
        return Path(text)


def _named(option: str | None, variable: str, env: Environment) -> str | None:
    """Return the option, else the variable. Only an empty variable counts as unset."""
    return option if option is not None else env.get(variable) or None


def _xdg_folder(variable: str, default: str, env: Environment, folder: str = _FOLDER) -> Path:
    return (_absolute(env.get(variable)) or home(env) / default) / folder


def _absolute(text: str | None) -> Path | None:
    """Return None for an unset, empty or relative path; the specification ignores them."""
    return Path(text) if text and text.startswith("/") else None

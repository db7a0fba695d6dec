"""Requests to the service manager of this user, through systemctl(1) and loginctl(1).

The caller decides what to request. A failure becomes an exception.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from dataclasses import dataclass
from pathlib import Path

from tunnelkeeper.core.message import HintedError
from tunnelkeeper.core.text import printable
from tunnelkeeper.systemd import unit_templates

ANSWER_TIMEOUT = 60.0
"""Seconds for requests that do not wait for a service."""

_LOOK_TIMEOUT = 5.0
_ERROR_TEXT_LIMIT = 1000


class NoServiceManagerError(HintedError):
    """No service manager of this user answers."""


class SystemctlError(Exception):
    """systemctl failed. The message has its output."""


def require_manager() -> None:
    """Check that the service manager of this user answers.

    Raises NoServiceManagerError if not.
    """
    try:
        done = _run("systemctl", "--user", "show", "--property=Version", timeout=ANSWER_TIMEOUT)
    except FileNotFoundError:
        raise NoServiceManagerError(
            "systemctl is not installed: this machine has no systemd",
            "tunnelkeeper up --detach",
        ) from None
    except subprocess.TimeoutExpired:
        raise NoServiceManagerError("the systemd of this user does not answer") from None
    if done.returncode:
        raise NoServiceManagerError(
            f"the systemd of this user does not answer: {_error_text(done)}",
            "log in as this user, not with su or sudo, or run `loginctl enable-linger` for it",
        )


def run_systemctl(*arguments: str, timeout: float | None = ANSWER_TIMEOUT) -> str:
    """Run `systemctl --user` with these arguments. Return its output.

    timeout: seconds, or None if a service determines the duration. Raises SystemctlError.
    """
    try:
        done = _run("systemctl", "--user", *arguments, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise SystemctlError(f"systemctl --user {' '.join(arguments)}: no answer") from None
    if done.returncode:
        raise SystemctlError(f"systemctl --user {' '.join(arguments)}: {_error_text(done)}")
    return done.stdout


def active_units(pattern: str) -> list[str]:
    """Return the running and starting units of this user whose names match a pattern.

    Raises SystemctlError.
    """
    options = ("--plain", "--no-legend", "--state=active,activating,reloading")
    lines = run_systemctl("list-units", *options, pattern).splitlines()
    return [line.split()[0] for line in lines if line.strip()]


def cat_unit(unit: str, *, is_user: bool) -> str:
    """Return the files of a unit of this user or of the system: its own, then its drop-ins.

    Raises NoServiceManagerError and SystemctlError.
    """
    command = ["systemctl", *(["--user"] if is_user else []), "--no-pager", "cat", "--", unit]
    try:
        done = _run(*command, timeout=ANSWER_TIMEOUT)
    except FileNotFoundError:
        raise NoServiceManagerError(
            "systemctl is not installed: this machine has no systemd",
            "tunnelkeeper up --detach",
        ) from None
    except subprocess.TimeoutExpired:
        raise SystemctlError(f"{' '.join(command)}: no answer") from None
    if done.returncode:
        raise SystemctlError(f"{' '.join(command)}: {_error_text(done)}")
    return done.stdout


@dataclass(frozen=True, slots=True)
class Service:
    """A running service. restarts: whether systemd starts it again after a regular exit."""

    name: str
    is_user: bool
    restarts: bool

    @property
    def stop_command(self) -> str:
        """The command that stops the service for good."""
        return f"systemctl {'--user ' if self.is_user else ''}stop {self.name}"


def service_of(pid: int) -> Service | None:
    """Return the service whose main process this is, or None if none is known."""
    names = {unit_templates.SUPERVISOR, *_services_in_cgroup(pid)}
    options = ["show", "--property=Id,MainPID,Restart", "--", *sorted(names)]
    for scope in (["--user"], []):
        try:
            done = _run("systemctl", *scope, *options, timeout=_LOOK_TIMEOUT)
        except (OSError, subprocess.TimeoutExpired):
            continue
        for block in done.stdout.split("\n\n"):
            properties = dict(line.partition("=")[::2] for line in block.splitlines())
            if properties.get("MainPID") == str(pid):
                restarts = properties.get("Restart") in {"always", "on-success"}
                return Service(properties.get("Id", ""), bool(scope), restarts)
    return None


def _services_in_cgroup(pid: int) -> set[str]:
    """Return the services whose control groups a process is in (cgroups(7))."""
    try:
        text = Path(f"/proc/{pid}/cgroup").read_text(errors="replace")
    except OSError:
        return set()
    parts = (line.rpartition("/")[2] for line in text.splitlines())
    return {name for name in parts if unit_templates.is_unit_name(name)}


def is_lingering() -> bool | None:
    """Return whether this user's services run without a login, or None if unknown."""
    user = _user_name()
    try:
        done = _run("loginctl", "show-user", user, "--property=Linger", timeout=ANSWER_TIMEOUT)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return {"Linger=yes": True, "Linger=no": False}.get(done.stdout.strip())


def _user_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return str(os.getuid())


def _run(*command: str, timeout: float | None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*command],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
    )


def _error_text(done: subprocess.CompletedProcess[str]) -> str:
    text = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
    return printable(text.replace("\n", "; "), _ERROR_TEXT_LIMIT)

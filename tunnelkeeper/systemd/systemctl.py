"""Asks the service manager of this user, through systemctl(1) and loginctl(1).

What to ask is decided by whoever calls; an answer that is a failure becomes one exception.
"""

from __future__ import annotations

import os
import pwd
import subprocess

from tunnelkeeper.core.text import printable

ANSWER_TIMEOUT = 60.0
"""Seconds for what takes the manager no waiting for a service."""

_WORDS_LIMIT = 1000


class NoServiceManagerError(Exception):
    """No service manager of this user answers; the message says what to do."""


class SystemctlError(Exception):
    """systemctl did not do what it was asked; the message has its words."""


def find_manager() -> None:
    """See that the manager of this user answers.

    Raises NoManager.
    """
    try:
        done = _run("systemctl", "--user", "show", "--property=Version", timeout=ANSWER_TIMEOUT)
    except FileNotFoundError:
        raise NoServiceManagerError(
            "systemctl is not installed; this machine has no systemd"
        ) from None
    except subprocess.TimeoutExpired:
        raise NoServiceManagerError("the systemd of this user does not answer") from None
    if done.returncode:
        raise NoServiceManagerError(
            f"the systemd of this user does not answer: {_said(done)} (log in as this user "
            "anew, not with su or sudo; or run `loginctl enable-linger` for it first)"
        )


def ask(*arguments: str, timeout: float | None = ANSWER_TIMEOUT) -> str:
    """Run `systemctl --user` with these arguments; returns what it printed.

    timeout: seconds, None where a service decides how long it takes. Raises SystemctlFailed.
    """
    try:
        done = _run("systemctl", "--user", *arguments, timeout=timeout)
    except subprocess.TimeoutExpired:
        raise SystemctlError(f"systemctl --user {' '.join(arguments)}: no answer") from None
    if done.returncode:
        raise SystemctlError(f"systemctl --user {' '.join(arguments)}: {_said(done)}")
    return done.stdout


def cat(unit: str, *, is_user: bool) -> str:
    """The files of a unit of this user, or of the system: its own, then its drop-ins.

    Raises NoManager and SystemctlFailed.
    """
    command = ["systemctl", *(["--user"] if is_user else []), "--no-pager", "cat", "--", unit]
    try:
        done = _run(*command, timeout=ANSWER_TIMEOUT)
    except FileNotFoundError:
        raise NoServiceManagerError(
            "systemctl is not installed; this machine has no systemd"
        ) from None
    except subprocess.TimeoutExpired:
        raise SystemctlError(f"{' '.join(command)}: no answer") from None
    if done.returncode:
        raise SystemctlError(f"{' '.join(command)}: {_said(done)}")
    return done.stdout


def lingers() -> bool | None:
    """Whether this user's services run without a login; None where nobody can tell."""
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


def _said(done: subprocess.CompletedProcess[str]) -> str:
    said = done.stderr.strip() or done.stdout.strip() or f"exit code {done.returncode}"
    return printable(said.replace("\n", "; "), _WORDS_LIMIT)

"""Requests to look a host up, and their answers. This module runs no query."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from tunnelkeeper.core.host_spec import is_host, is_user
from tunnelkeeper.core.text import printable

Answer = Mapping[str, list[str]]
"""The settings of a host: values in order, by keyword in lower case.

Values have the form in which `ssh -G` prints them. A value that ssh expands later still has its
tokens. In a value that is already expanded, each percent sign is doubled. So a user of a value that
may have tokens must expand it exactly once.
"""

SSH_ONLY = "for-ssh-alone"
"""A keyword that ssh never prints: directives in effect that need ssh itself."""

Source = str | Literal[False] | None
"""The file to read: an absolute path (ssh -F), None for ssh's default files, False for no file."""


WITHOUT_SESSION = ("-N",)


class SshConfigError(Exception):
    """Raised if a host cannot be looked up.

    message: the error and its location, printable. hint: what to do about it, or empty. temporary:
    True for an error that may pass without a change, such as an unreachable name server.
    """

    def __init__(self, message: str, hint: str = "", *, temporary: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.temporary = temporary


@dataclass(frozen=True, slots=True)
class Request:
    """One host to look up, in terms of an ssh command line.

    user, port: ssh's -l and -p. hostname: HostName, without tokens. jump: the jump hosts as for
    ssh's -J, or "none" to disable both ProxyJump and ProxyCommand. None leaves each of them to
    ssh_config. options: further keywords and values for ssh's -o.
    arguments: further options as on a command line; -N for a connection without a session, such as
    a tunnel. command: the arguments after the host.

    Raises SshConfigError if a part could be mistaken for an option or for shell syntax.
    """

    host: str
    user: str | None = None
    port: int | None = None
    source: Source = None
    hostname: str | None = None
    jump: str | None = None
    options: tuple[tuple[str, str], ...] = ()
    arguments: tuple[str, ...] = WITHOUT_SESSION
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for host in (self.host, self.hostname):
            if host is not None and not is_host(host):
                raise _invalid("a host name", host)
        if self.user is not None and not is_user(self.user):
            raise _invalid("a user name", self.user)
        for keyword, value in self.options:
            if not value or not value.isprintable():
                raise _invalid(f"a value for {keyword}", value)


def _invalid(expected: str, value: str) -> SshConfigError:
    return SshConfigError(f"expected {expected}, got {printable(repr(value))}")


class Query(Protocol):
    """A lookup of a host: `ssh -G`, or a reader of the files if ssh cannot run."""

    async def __call__(self, request: Request) -> Answer:
        """Return the host's settings; raises SshConfigError."""
        ...

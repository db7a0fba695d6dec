"""What is asked about a host, and of whom. It asks nothing itself."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, Protocol

from tunnelkeeper.core.host_spec import is_host, is_user
from tunnelkeeper.core.text import printable

Answer = Mapping[str, list[str]]
"""What holds for a host: values in their order, by keyword in lower case.

Values are written as `ssh -G` prints them. Where ssh expands them later, their tokens are still in
them; in those that were expanded already, each percent sign is doubled. So whoever uses a value
that may have tokens expands it, once.
"""

SSH_ONLY = "for-ssh-alone"
"""A keyword that ssh never prints: the directives in effect that only ssh itself could follow."""

Source = str | Literal[False] | None
"""Where to look: an absolute path (ssh -F), None for ssh's own files, False for none at all."""


WITHOUT_SESSION = ("-N",)


class SshConfigError(Exception):
    """A host could not be looked up.

    message: what was wrong and where, fit for a screen. hint: what to do about it, or empty.
    temporary: nobody's mistake, such as a name server that does not answer; it may pass by itself.
    """

    def __init__(self, message: str, hint: str = "", *, temporary: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.temporary = temporary


@dataclass(frozen=True, slots=True)
class Request:
    """One host to look up, as it stands on a command line of ssh.

    user, port: ssh's -l and -p; None: ssh_config decides. jumps: whether its ProxyJump is wanted;
    if not, it is overruled by `none`. options: more keywords and values, ssh's -o. arguments: more
    options as they stand on a line; a connection without a session, as tunnels are, has -N.
    command: the words behind the host.

    Raises SshConfigError where a part could be taken for an option or for shell syntax.
    """

    host: str
    user: str | None = None
    port: int | None = None
    source: Source = None
    jumps: bool = True
    options: tuple[tuple[str, str], ...] = ()
    arguments: tuple[str, ...] = WITHOUT_SESSION
    command: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not is_host(self.host):
            raise _invalid("a host name", self.host)
        if self.user is not None and not is_user(self.user):
            raise _invalid("a user name", self.user)
        for keyword, value in self.options:
            if not value or not value.isprintable():
                raise _invalid(f"a value for {keyword}", value)


def _invalid(expected: str, value: str) -> SshConfigError:
    return SshConfigError(f"expected {expected}, got {printable(repr(value))}")


class Query(Protocol):
    """A way to look a host up: `ssh -G`, or a reader of the files where there is no ssh."""

    async def __call__(self, request: Request) -> Answer:
        """What ssh_config says; raises SshConfigError."""
        ...

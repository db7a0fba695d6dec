"""What subcommands share: global options, the tunnels to act on, and the error that ends them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tunnelkeeper import paths
from tunnelkeeper.control.client import Client
from tunnelkeeper.control.file_claim import socket_of_holder
from tunnelkeeper.core.exit_codes import ExitCode

if TYPE_CHECKING:
    from tunnelkeeper.core.message import Message

ANSWER_TIMEOUT = 10.0
"""Seconds for an answer that the supervisor gives at once."""

WORK_TIMEOUT = 60.0
"""Seconds for work: closing connections, asking ssh about every host."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The options --config and --socket."""

    config_option: str | None = None
    socket_option: str | None = None

    @property
    def options(self) -> list[str]:
        """The words of these options, for calls in hints."""
        pairs = (("--config", self.config_option), ("--socket", self.socket_option))
        return [word for name, value in pairs if value is not None for word in (name, value)]

    @property
    def config(self) -> Path:
        """The absolute path of the config file, which may not exist."""
        return Path.cwd() / paths.config_path(self.config_option, os.environ)

    @property
    def socket(self) -> Path:
        """The absolute path of the control socket, which may not exist."""
        return Path.cwd() / paths.socket_path(self.socket_option, os.environ)

    @property
    def is_socket_named(self) -> bool:
        """Whether --socket or $TUNNELKEEPER_SOCKET names the socket."""
        return self.socket_option is not None or bool(os.environ.get("TUNNELKEEPER_SOCKET"))

    @property
    def running_socket(self) -> Path:
        """The socket of the supervisor that holds the config file, else the path of `socket`.

        A supervisor that was started by cron or su may have another one than we would use.
        """
        if self.socket != Path.cwd() / paths.default_socket_path(os.environ):
            return self.socket
        return socket_of_holder(paths.claims_folder(os.environ), self.config) or self.socket

    def client(self, timeout: float = ANSWER_TIMEOUT) -> Client:
        """Connect to the supervisor.

        Raises NoSupervisorError, OSError.
        """
        return Client(self.running_socket, timeout, is_named=self.is_socket_named)

    def client_for_config(self, timeout: float = ANSWER_TIMEOUT) -> Client:
        """Connect to the supervisor, which must use the file that --config names, if any.

        Raises OtherConfigError, NoSupervisorError, OSError.
        """
        client = self.client(timeout)
        try:
            if self.config_option is not None:
                held = Path(client.status().supervisor.config)
                if os.path.realpath(held) != os.path.realpath(self.config):
                    raise OtherConfigError(held, self.config)
        except BaseException:
            client.close()
            raise
        return client


F = TypeVar("F", bound=Callable[..., Any])


def tunnel_selection(command: F) -> F:
    """Add NAME... and --group to a command."""
    command = click.option("--group", metavar="G", help="The tunnels of this group.")(command)
    return click.argument("names", metavar="[NAME]...", nargs=-1)(command)


def join_names(names: list[str]) -> str:
    """Return names for a sentence."""
    return ", ".join(names) if names else "no tunnel"


class CommandError(Exception):
    """Ends a command with an exit code and a message on stderr.

    hint: what to do about it, as a line below the message, or empty. If one command solves it, it
    is that command. problems: those of a config file, to be printed above the message.
    """

    def __init__(
        self,
        message: str,
        code: ExitCode = ExitCode.FAILED,
        hint: str = "",
        *,
        problems: Iterable[Message] = (),
    ) -> None:
        super().__init__(message)
        self.code = code
        self.hint = hint
        self.problems = tuple(problems)


class OtherConfigError(CommandError):
    """The supervisor at this socket runs another config file than the one of --config."""

    def __init__(self, held: Path, wanted: Path) -> None:
        super().__init__(
            f"a supervisor is running already with {held}, not {wanted}",
            hint="leave out --config for that one; for another, choose its socket with --socket "
            "PATH",
        )

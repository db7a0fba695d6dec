"""Names of tunnels and patterns such as `eu-*` on the command line, as names."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from tunnelkeeper.cli.settings import CommandError
from tunnelkeeper.control.client_errors import NoSupervisorError, RemoteError
from tunnelkeeper.control.jsonrpc import ProtocolError
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.name_patterns import NoMatchError, expand_patterns, is_pattern
from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.control.client import Client


def expand_names(client: Client, words: Sequence[str]) -> list[str]:
    """Return the names that words stand for among the tunnels of a supervisor.

    Raises CommandError if a pattern matches none, and what a call raises.
    """
    return expand(words, lambda: [tunnel.name for tunnel in client.status().tunnels])


def expand(words: Sequence[str], find_names: Callable[[], Collection[str]]) -> list[str]:
    """Return the names that words stand for. find_names: called if a word is a pattern.

    Raises CommandError if a pattern matches none.
    """
    if not any(map(is_pattern, words)):
        return list(words)
    try:
        return expand_patterns(words, find_names())
    except NoMatchError as error:
        message = printable(str(error))
        raise CommandError(message, ExitCode.NOT_FOUND, "tunnelkeeper status") from None


def find_ad_hoc_table(settings: Settings, name: str) -> dict[str, object] | None:
    """Return the table of an ad-hoc tunnel of the running supervisor; None if there is none."""
    with (
        suppress(NoSupervisorError, RemoteError, ProtocolError, OSError),
        settings.client() as client,
    ):
        return client.table(name)
    return None

"""`relay kick`, `ban` and `unban`: the methods of the control socket, and what they do.

Bans are kept in a file, so that they survive a restart. `bans` decides whom a ban concerns.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, ClassVar, Protocol

import msgspec

from tunnelkeeper.clock import iso
from tunnelkeeper.control.api import RequestError, RequestFailedError
from tunnelkeeper.control.jsonrpc import ErrorCode
from tunnelkeeper.control.methods import Method, Methods
from tunnelkeeper.core.text import printable
from tunnelkeeper.net.thread_executor import SerialExecutor
from tunnelkeeper.relay import ban_file
from tunnelkeeper.relay.ban_file import BanFileError
from tunnelkeeper.relay.bans import (
    Ban,
    BanTargetError,
    TooManyBansError,
    end_of,
    format_target,
    is_fingerprint,
    parse_target,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tunnelkeeper.relay.client_session import ClientSession
    from tunnelkeeper.relay.server import RelayServer

MAX_BAN = 100 * 365.25 * 86400
"""Seconds: the longest duration of a config file too."""

TEXT_LIMIT = 200
"""Characters of a user name, an address or a fingerprint; each is shorter."""

KICKED = "disconnected by the administrator of the relay"
BANNED = "banned by the administrator of the relay"

log = logging.getLogger(__name__)


class NotFoundError(RequestError):
    """Raised if no client or ban is meant."""

    code: ClassVar[ErrorCode] = ErrorCode.NOT_FOUND


class KickParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """target: a user or the fingerprint of a key."""

    target: Annotated[str, msgspec.Meta(max_length=TEXT_LIMIT)]


class BanParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """target: an address, a network or a fingerprint. seconds: None for a ban without an end."""

    target: Annotated[str, msgspec.Meta(max_length=TEXT_LIMIT)]
    seconds: Annotated[float, msgspec.Meta(gt=0, le=MAX_BAN)] | None = None


class UnbanParams(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """target: as it was banned; an address is not looked for in networks."""

    target: Annotated[str, msgspec.Meta(max_length=TEXT_LIMIT)]


class Kicked(msgspec.Struct, frozen=True):
    """The result of `kick`. disconnected: the connections, as user@address:port."""

    disconnected: list[str]


class Banned(msgspec.Struct, frozen=True):
    """The result of `ban`. target: as status shows it. problem: why the ban was not saved."""

    target: str
    until: str | None
    disconnected: list[str]
    problem: str | None = None


class Unbanned(msgspec.Struct, frozen=True):
    """The result of `unban`."""

    target: str
    problem: str | None = None


class AccessApi(Protocol):
    """The relay, as these methods use it."""

    @property
    def access(self) -> AccessControl:
        """The access control of the relay."""


@dataclass(frozen=True, slots=True)
class AccessControl:
    """Disconnects clients, and keeps addresses and keys out. path: of the file of bans."""

    relay: RelayServer
    path: Path
    _files: SerialExecutor = field(default_factory=SerialExecutor)

    def kick(self, target: str) -> Kicked:
        """Disconnect the clients of a user or a key. Raises NotFoundError."""
        matches = _has_key(target) if is_fingerprint(target) else _has_user(target)
        disconnected = self.relay.disconnect(matches, KICKED)
        if not disconnected:
            kind = "with the key" if is_fingerprint(target) else "as user"
            raise NotFoundError(
                f"no client is connected {kind} '{printable(target, 80)}'",
                "tunnelkeeper relay status",
            )
        return Kicked(disconnected)

    async def ban(self, target: str, seconds: float | None) -> Banned:
        """Keep a target out from now on, and disconnect its clients. Raises RequestFailedError.

        The ban is in force even if it cannot be saved.
        """
        relay = self.relay
        try:
            now = relay.clock.wall()
            ban = Ban(parse_target(target), now, end_of(now, seconds))
            relay.bans.add(ban)
        except TooManyBansError as error:
            raise RequestFailedError(str(error), error.hint) from None
        except BanTargetError as error:
            raise RequestFailedError(str(error)) from None
        until = None if ban.until is None else iso(ban.until)
        log.info("banned %s %s", ban, f"until {until}" if until else "without an end")
        disconnected = relay.disconnect(
            lambda client: (
                relay.bans.refuses(client.address.host, client.admitted.key.fingerprints, now)
                is not None
            ),
            BANNED,
        )
        return Banned(str(ban), until, disconnected, await self._save())

    async def unban(self, target: str) -> Unbanned:
        """Remove a ban. Raises NotFoundError, RequestFailedError."""
        try:
            parsed = parse_target(target)
        except BanTargetError as error:
            raise RequestFailedError(str(error)) from None
        shown = format_target(parsed)
        self.relay.bans.current(self.relay.clock.wall())
        if not self.relay.bans.remove(parsed):
            raise NotFoundError(f"{shown} is not banned", "tunnelkeeper relay status")
        log.info("unbanned %s", shown)
        return Unbanned(shown, await self._save())

    async def _save(self) -> str | None:
        """Save the bans; return the reason if they cannot be saved."""
        bans = self.relay.bans.current(self.relay.clock.wall())
        config = self.relay.config_path
        try:
            await self._files.call(self.path, lambda: ban_file.save(self.path, config, bans))
        except BanFileError as error:
            log.error("%s", error)  # noqa: TRY400
            return str(error)
        return None


def _has_user(user: str) -> Callable[[ClientSession], bool]:
    return lambda client: client.admitted.user == user


def _has_key(fingerprint: str) -> Callable[[ClientSession], bool]:
    return lambda client: fingerprint in client.admitted.key.fingerprints


async def _kick(relay: AccessApi, params: KickParams) -> Kicked:
    return relay.access.kick(params.target)


async def _ban(relay: AccessApi, params: BanParams) -> Banned:
    return await relay.access.ban(params.target, params.seconds)


async def _unban(relay: AccessApi, params: UnbanParams) -> Unbanned:
    return await relay.access.unban(params.target)


METHODS: Methods = {
    "kick": Method(KickParams, _kick),
    "ban": Method(BanParams, _ban),
    "unban": Method(UnbanParams, _unban),
}

"""Parser of the options of a key in authorized_keys, with the meaning of sshd(8).

Options apply in order, as in sshauthopt_parse() of OpenSSH's auth-options.c: `port-forwarding`
allows forwarding after `restrict`, not before it. Options for shells (command, environment, pty,
agent, X11, rc, tun devices) are accepted if well formed and have no effect. It refuses unknown
options, and verify-required, which cannot be checked here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from tunnelkeeper.core.text import printable
from tunnelkeeper.relay import from_patterns
from tunnelkeeper.relay.permits import Permit, PermitError, parse_listen, parse_open

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import tzinfo

_OPTION = re.compile(r'([A-Za-z0-9-]+)(="((?:\\"|[^"])*+)")?(?:,|\Z)')
_TIME = re.compile(r"(\d{4})(\d\d)(\d\d)(?:(\d\d)(\d\d)(\d\d)?)?(Z|UTC)?", re.ASCII | re.IGNORECASE)
_ENVIRONMENT = re.compile(r"[A-Za-z0-9_]+=.*", re.DOTALL)
_TUN_DEVICE = re.compile(r"(?:any|\d{1,9})(?::(?:any|\d{1,9}))?", re.ASCII)  # a2tun() in misc.c
MAX_LENGTH = 64 * 1024
"""Characters of the options of a key. That is room for fewer permits than the 4096 of sshd
(SSH_AUTHOPT_PERMIT_MAX in auth-options.c)."""

_FIRST_YEAR = 1970  # sshd accepts no earlier time either


class OptionError(ValueError):
    """Raised for options that cannot be enforced, so that the key must not be used."""


@dataclass(frozen=True, slots=True)
class KeyOptions:
    """The options of a key. None: the option is absent and restricts nothing.

    principals: of a certificate authority; a certificate needs one of them. sources: the patterns
    of from=. expires: the last moment at which the key is valid. command: never run; a certificate
    with a forced command is valid only if it forces the same one.
    """

    cert_authority: bool = False
    principals: tuple[str, ...] | None = None
    sources: tuple[str, ...] | None = None
    expires: datetime | None = None
    permit_open: tuple[Permit, ...] | None = None
    permit_listen: tuple[Permit, ...] | None = None
    port_forwarding: bool = True
    touch_required: bool = True
    command: str | None = None

    def expired(self, now: datetime) -> bool:
        """Return whether the key has expired. now: with its time zone."""
        return self.expires is not None and now > self.expires

    def grants_all_of(self, other: KeyOptions) -> bool:
        """Return whether these options permit every listener and target that others permit.

        Permits are compared as written, so `localhost:22` does not count as part of `*:22`.
        """
        if not other.port_forwarding:
            return True
        return (
            self.port_forwarding
            and _includes(self.permit_open, other.permit_open)
            and _includes(self.permit_listen, other.permit_listen)
        )


def parse_options(text: str, zone: tzinfo | None) -> KeyOptions:
    """Parse the options of one key. zone: of times without one; None: the system's.

    Raises OptionError.
    """
    if len(text) > MAX_LENGTH:
        raise OptionError(f"the options are longer than {MAX_LENGTH >> 10} KiB")
    options = KeyOptions()
    for name, value in _split(text):
        if value is None and (flag := _FLAGS.get(name)):
            options = flag(options)
        elif value is not None and (read := _VALUES.get(name)):
            options = read(options, value)
        elif value is not None and name == "expiry-time":
            options = _expiry_time(options, value, zone)
        else:
            raise OptionError(_option_problem(name, value))
    if options.principals is not None and not options.cert_authority:
        raise OptionError("principals= requires cert-authority")
    return options


def _includes(permits: tuple[Permit, ...] | None, others: tuple[Permit, ...] | None) -> bool:
    """Return whether permits contain all others.

    Without any, a key has the relay's defaults: those close private networks and most names, and
    open much else. So neither includes the other.
    """
    if permits is None or others is None:
        return permits is others
    return set(others) <= set(permits)


def _split(text: str) -> Iterator[tuple[str, str | None]]:
    """Yield the options with their values: names in lower case, values unquoted."""
    position = 0
    while position < len(text) or text.endswith(","):
        match = _OPTION.match(text, position)
        if match is None:
            where = printable(text[position:], 60)
            raise OptionError(f"expected name or name=\"value\" between commas, got '{where}'")
        value = None if match[2] is None else match[3].replace('\\"', '"')
        yield match[1].lower(), value
        position = match.end()


def _option_problem(name: str, value: str | None) -> str:
    if name in _FLAGS:
        return f"{name} takes no value"
    if name in _VALUES or name == "expiry-time":
        return f'{name} needs a value: {name}="..."'
    if name == "verify-required":
        return "verify-required cannot be checked here"
    return f"unknown option '{printable(name, 60)}'{'' if value is None else ' with a value'}"


def _unchanged(options: KeyOptions) -> KeyOptions:
    return options


_FLAGS: dict[str, Callable[[KeyOptions], KeyOptions]] = {
    "restrict": lambda options: replace(options, port_forwarding=False),
    "port-forwarding": lambda options: replace(options, port_forwarding=True),
    "no-port-forwarding": lambda options: replace(options, port_forwarding=False),
    "cert-authority": lambda options: replace(options, cert_authority=True),
    "touch-required": lambda options: replace(options, touch_required=True),
    "no-touch-required": lambda options: replace(options, touch_required=False),
    "no-verify-required": _unchanged,
    "agent-forwarding": _unchanged,
    "no-agent-forwarding": _unchanged,
    "x11-forwarding": _unchanged,
    "no-x11-forwarding": _unchanged,
    "pty": _unchanged,
    "no-pty": _unchanged,
    "user-rc": _unchanged,
    "no-user-rc": _unchanged,
}


def _command(options: KeyOptions, value: str) -> KeyOptions:
    _reject_duplicate("command", options.command)
    return replace(options, command=value)


def _principals(options: KeyOptions, value: str) -> KeyOptions:
    _reject_duplicate("principals", options.principals)
    return replace(options, principals=tuple(value.split(",")))


def _from(options: KeyOptions, value: str) -> KeyOptions:
    _reject_duplicate("from", options.sources)
    patterns = tuple(value.split(","))
    try:
        for pattern in patterns:
            from_patterns.check(pattern)
    except from_patterns.PatternError as error:
        raise OptionError(f"from=: {error}") from None
    return replace(options, sources=patterns)


def _permitopen(options: KeyOptions, value: str) -> KeyOptions:
    permit = _permit("permitopen", parse_open, value)
    return replace(options, permit_open=(*(options.permit_open or ()), permit))


def _permitlisten(options: KeyOptions, value: str) -> KeyOptions:
    permit = _permit("permitlisten", parse_listen, value)
    return replace(options, permit_listen=(*(options.permit_listen or ()), permit))


def _environment(options: KeyOptions, value: str) -> KeyOptions:
    if not _ENVIRONMENT.fullmatch(value):
        raise OptionError("environment= needs NAME=value")
    return options


def _tunnel(options: KeyOptions, value: str) -> KeyOptions:
    if not _TUN_DEVICE.fullmatch(value):
        raise OptionError("tunnel= needs a device number")
    return options


_VALUES: dict[str, Callable[[KeyOptions, str], KeyOptions]] = {
    "command": _command,
    "environment": _environment,
    "from": _from,
    "permitlisten": _permitlisten,
    "permitopen": _permitopen,
    "principals": _principals,
    "tunnel": _tunnel,
}


def _expiry_time(options: KeyOptions, value: str, zone: tzinfo | None) -> KeyOptions:
    """Set the expiry time; the earliest of several counts."""
    expires = _time(value, zone)
    if options.expires is not None:
        expires = min(expires, options.expires)
    return replace(options, expires=expires)


def _time(text: str, zone: tzinfo | None) -> datetime:
    """Parse a time as parse_absolute_time() in misc.c does; return it in UTC."""
    expected = f"expiry-time= needs YYYYMMDD[Z] or YYYYMMDDHHMM[SS][Z], got '{printable(text, 40)}'"
    match = _TIME.fullmatch(text)
    if match is None:
        raise OptionError(expected)
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    try:
        written = datetime(year, month, day, hour, minute, second)  # noqa: DTZ001  set below
    except ValueError as error:
        raise OptionError(f"{expected}: {error}") from None
    if year < _FIRST_YEAR:
        raise OptionError(f"expiry-time= is before {_FIRST_YEAR}: '{text}'")
    try:
        return written.replace(tzinfo=UTC if match[7] else zone).astimezone(UTC)
    except (
        OverflowError,
        ValueError,
    ):  # in year 9999, in a zone west of Greenwich
        return datetime.max.replace(tzinfo=UTC)


def _permit(name: str, parse: Callable[[str], Permit], value: str) -> Permit:
    try:
        return parse(value)
    except PermitError as error:
        raise OptionError(f"{name}=: {error}") from None


def _reject_duplicate(name: str, earlier: object) -> None:
    if earlier is not None:
        raise OptionError(f"{name}= appears twice")

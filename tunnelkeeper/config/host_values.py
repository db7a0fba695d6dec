"""Reads the values that only a host has: its name, user, jump hosts and host key policy.

References are checked for their form; whether such a host exists is found out when connecting.
"""

from __future__ import annotations

from tunnelkeeper.config.errors import mismatch, refused
from tunnelkeeper.config.value_parsers import one_of, several, text
from tunnelkeeper.core.host_spec import HostSpecError, is_host, is_user, parse_host_spec

NO_JUMP = "none"  # ssh_config(5), ProxyJump
TRUSTS_ANY_KEY = ("no", "off")
"""StrictHostKeyChecking's words for a policy that this program does not have."""


def hostname(value: object) -> str:
    """A name or an address that a socket can connect to, without user and port."""
    host = text(value)
    if is_host(host):
        return host
    expected = "a host name or an address"
    try:
        parsed = parse_host_spec(host)
    except HostSpecError:
        raise mismatch(expected, value) from None
    parts = [f"hostname = '{parsed.host}'"]
    if parsed.user is not None:
        parts.append(f"user = '{parsed.user}'")
    if parsed.port is not None:
        parts.append(f"port = {parsed.port}")
    raise mismatch(expected, value, f"write {', '.join(parts)}")


def user(value: object) -> str:
    """A user on the server."""
    if is_user(login := text(value)):
        return login
    raise mismatch("a user name", value)


def reference(value: object) -> str:
    """A [hosts] name, an ssh_config alias, [user@]host[:port] or ssh://[user@]host[:port]."""
    if not isinstance(value, str):
        raise mismatch("a host in quotes", value)
    try:
        parse_host_spec(value)
    except HostSpecError as error:
        raise refused(str(error)) from None
    return value


def jump(value: object) -> tuple[str, ...]:
    """References in ssh -J order: a list, or one text with commas. "none" is for no jump host."""
    if value in (NO_JUMP, [NO_JUMP]):
        return ()
    chain = several(_hops)(value)
    return tuple(hop for hops in chain for hop in hops)


def _hops(value: object) -> tuple[str, ...]:
    if not isinstance(value, str):
        raise mismatch("a host in quotes", value)
    hops = tuple(reference(hop.strip(" ")) for hop in value.split(","))
    if NO_JUMP in hops:
        raise refused(f"{NO_JUMP!r} is for no jump host at all, so it stands alone: jump = 'none'")
    return hops


def host_key_policy(value: object) -> str:
    """What to do with a host key that nobody knows yet.

    ssh's "no" trusts changed keys too; nothing here does, so it becomes the nearest thing.
    """
    if value in TRUSTS_ANY_KEY:
        return "accept-new"
    if value in ("yes", "ask"):  # StrictHostKeyChecking's words
        raise mismatch("'strict' or 'accept-new'", value, "write 'strict'")
    return one_of("strict", "accept-new")(value)

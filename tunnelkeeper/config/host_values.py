"""Parsers for values of hosts: name, user, jump hosts, host key policy and login.

They check the form of a host only. Whether it exists is known when the tunnel connects.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.config.errors import mismatch, value_error
from tunnelkeeper.config.parser import WORDS, Parser, accepts, any_of, one_or_more
from tunnelkeeper.config.value_parsers import flag, one_of, several, text
from tunnelkeeper.core.host_spec import HostSpecError, is_host, is_user, parse_host_spec
from tunnelkeeper.core.ssh_values import (
    LOGIN_METHODS,
    OTHER_LOGIN_METHODS,
    ValueFormatError,
    parse_agent_addition,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

NO_JUMP = "none"  # ssh_config(5), ProxyJump
TRUSTS_ANY_KEY = ("no", "off")
"""Values of StrictHostKeyChecking that trust changed keys. This program never does."""


@accepts(WORDS)
def hostname(value: object) -> str:
    """Parse a host name or an address, without user and port."""
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


@accepts(WORDS)
def user(value: object) -> str:
    """Parse a user name of the server."""
    if is_user(login := text(value)):
        return login
    raise mismatch("a user name", value)


@accepts(WORDS)
def host_reference(value: object) -> str:
    """Parse a [hosts] name, an ssh_config alias, [user@]host[:port] or ssh://[user@]host[:port]."""
    if not isinstance(value, str):
        raise mismatch("a host in quotes", value)
    try:
        parse_host_spec(value)
    except HostSpecError as error:
        raise value_error(str(error)) from None
    return value


@accepts(one_or_more(WORDS))
def jump(value: object) -> tuple[str, ...]:
    """Parse hosts in ssh -J order: a list, or one string with commas. "none": no jump host."""
    if value in (NO_JUMP, [NO_JUMP]):
        return ()
    chain = several(_hops)(value)
    return tuple(hop for hops in chain for hop in hops)


@accepts(WORDS)
def _hops(value: object) -> tuple[str, ...]:
    if not isinstance(value, str):
        raise mismatch("a host in quotes", value)
    hops = tuple(host_reference(hop.strip(" ")) for hop in value.split(","))
    if NO_JUMP in hops:
        raise value_error(f"{NO_JUMP!r} means no jump host and cannot be combined: jump = 'none'")
    return hops


def as_in_ssh(parse: Callable[[Sequence[str]], object]) -> Parser[tuple[str, ...]]:
    """Return a parser for words in the grammar of ssh_config(5): a list, or one string."""

    @accepts(one_or_more(text.schema, is_required=True), is_exact=False)
    def read(value: object) -> tuple[str, ...]:
        words = tuple(word for part in several(text)(value) for word in part.split())
        if not words:
            raise value_error("expected a value, got an empty list", "leave the key out instead")
        try:
            parse(words)
        except ValueFormatError as error:
            raise value_error(str(error)) from None
        return words

    return read


@accepts(
    any_of(
        {"enum": ["ask", "strict", "accept-new"]},
        {"enum": list(TRUSTS_ANY_KEY), "deprecated": True},
    )
)
def host_key_policy(value: object) -> str:
    """Parse the policy for unknown host keys.

    ssh's "no" would trust changed keys too. It is read as "accept-new", the closest policy.
    """
    if value in TRUSTS_ANY_KEY:
        return "accept-new"
    if value == "yes":  # a value of StrictHostKeyChecking
        raise mismatch("'ask', 'strict' or 'accept-new'", value, "write 'strict'")
    return one_of("ask", "strict", "accept-new")(value)


@accepts(one_or_more(WORDS, is_required=True))
def preferred_authentications(value: object) -> tuple[str, ...]:
    """Parse the methods to log in with, in order: a list, or one string with commas."""
    methods = [
        one_of(*LOGIN_METHODS, *OTHER_LOGIN_METHODS)(method.strip())
        for part in several(text)(value)
        for method in part.split(",")
    ]
    if not set(methods) & set(LOGIN_METHODS):
        raise mismatch(f"at least one of {', '.join(LOGIN_METHODS)}", value)
    return tuple(dict.fromkeys(methods))


@accepts(any_of(flag.schema, as_in_ssh(parse_agent_addition).schema), is_exact=False)
def add_keys_to_agent(value: object) -> tuple[str, ...]:
    """Parse whether used keys are added to the agent: true, false, or words as in ssh_config(5)."""
    if isinstance(value, bool):
        return ("yes" if value else "no",)
    return as_in_ssh(parse_agent_addition)(value)


@accepts(any_of(flag.schema, {"enum": ["ask"]}))
def update_host_keys(value: object) -> bool | str:
    """Parse whether further keys of a known host are learned: true, false or "ask"."""
    return "ask" if value == "ask" else flag(value)

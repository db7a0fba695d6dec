"""The values of ssh_config(5)'s tokens for a host, and the expansion of paths with ~.

core.token_expansion has the grammar. This module accesses no file.
"""

from __future__ import annotations

import hashlib
import posixpath
from typing import TYPE_CHECKING

from msgspec import Struct

from tunnelkeeper.core.token_expansion import (
    PATH_TOKENS,
    PROXY_TOKENS,
    TokenError,
    Tokens,
    expand,
)

if TYPE_CHECKING:
    from tunnelkeeper.sshconfig.local_facts import Facts

__all__ = [
    "PATH_TOKENS",
    "PROXY_TOKENS",
    "Destination",
    "TokenError",
    "Tokens",
    "expand",
    "expand_home",
    "expand_path",
    "local_tokens",
    "make_absolute",
    "tokens_for",
]


class Destination(Struct, frozen=True):
    """The host that tokens refer to. original_host: as passed to ssh (%n). hostname: %h.

    jump: the last jump host before it (%j), or empty.
    """

    original_host: str
    hostname: str
    port: int
    user: str
    host_key_alias: str | None = None
    jump: str = ""


def local_tokens(original_host: str, facts: Facts) -> Tokens:
    """Return the tokens that are defined before the lookup of a host."""
    return {
        "d": facts.home,
        "i": str(facts.uid),
        "L": facts.hostname.partition(".")[0],
        "l": facts.hostname,
        "n": original_host,
        "T": "NONE",  # tunnelkeeper requests no tun(4) device
        "u": facts.user,
    }


def tokens_for(destination: Destination, facts: Facts) -> Tokens:
    """Return all tokens that are defined before a connection."""
    port = str(destination.port)
    # OpenSSH's readconf.c, ssh_connection_hash(); %j is part of it since OpenSSH 9.6.
    connection = (
        facts.hostname,
        destination.hostname,
        port,
        destination.user,
        destination.jump,
    )
    digest = hashlib.sha1(
        "".join(connection).encode(errors="surrogateescape"), usedforsecurity=False
    )
    return {
        **local_tokens(destination.original_host, facts),
        "C": digest.hexdigest(),
        "h": destination.hostname,
        "j": destination.jump,
        "k": destination.host_key_alias or destination.original_host,
        "p": port,
        "r": destination.user,
    }


def expand_path(text: str, tokens: Tokens, facts: Facts) -> str:
    """Return an absolute path after replacing ~, then percent tokens and ${ENV}, each once.

    Raises TokenError.
    """
    expanded = expand(expand_home(text, facts), tokens, PATH_TOKENS, facts.environment)
    return make_absolute(expanded, facts)


def expand_home(path: str, facts: Facts) -> str:
    """Replace a leading ~ or ~user.

    Raises TokenError.
    """
    if not path.startswith("~"):
        return path
    user, slash, rest = path[1:].partition("/")
    home = facts.home_of(user) if user else facts.home
    if home is None:
        raise TokenError(f"no such user: {user}")
    return f"{home.rstrip('/')}{slash}{rest}" or "/"


def make_absolute(path: str, facts: Facts) -> str:
    """Return an absolute path. Like ssh, resolve a relative path against the working directory."""
    return posixpath.join(facts.cwd, path)

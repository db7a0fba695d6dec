"""Expansion of percent tokens, ${ENV} and a leading ~ in values of ssh_config(5).

Each directive accepts its own set of tokens (ssh_config(5), TOKENS). Any other token is an error,
as in ssh, and is never left in the text. This module accesses no file.
"""

from __future__ import annotations

import hashlib
import posixpath
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunnelkeeper.sshconfig.local_facts import Facts

Tokens = Mapping[str, str]
"""The value of each token letter. %% is accepted everywhere."""

PATH_TOKENS = frozenset("CdhijkLlnpru")
"""CertificateFile, IdentityAgent, IdentityFile and UserKnownHostsFile also accept ${ENV}."""
PROXY_TOKENS = frozenset("hnpr")
"""For ProxyCommand and ProxyJump."""

_EXPANDABLE = re.compile(r"%(?P<token>.?)|\$\{(?P<variable>[^}]*)(?P<closing>\}?)", re.DOTALL)
_TOKEN = re.compile(r"%(?P<token>.?)", re.DOTALL)


class TokenError(ValueError):
    """Raised for a value that cannot be expanded; the text gives the reason."""


@dataclass(frozen=True, slots=True)
class Destination:
    """The host that tokens refer to. original_host: as passed to ssh (%n). hostname: %h.

    jump: the last jump host before it (%j), or empty.
    """

    original_host: str
    hostname: str
    port: int
    user: str
    host_key_alias: str | None = None
    jump: str = ""


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
        "C": digest.hexdigest(),
        "d": facts.home,
        "h": destination.hostname,
        "i": str(facts.uid),
        "j": destination.jump,
        "k": destination.host_key_alias or destination.original_host,
        "L": facts.hostname.partition(".")[0],
        "l": facts.hostname,
        "n": destination.original_host,
        "p": port,
        "r": destination.user,
        "T": "NONE",  # tunnelkeeper requests no tun(4) device
        "u": facts.user,
    }


def expand(text: str, tokens: Tokens, accepted: frozenset[str]) -> str:
    """Replace percent tokens and nothing else. Quotes stay as they are.

    Raises TokenError.
    """
    return _TOKEN.sub(lambda match: _expand_token(match["token"], tokens, accepted), text)


def expand_path(text: str, tokens: Tokens, facts: Facts) -> str:
    """Return an absolute path after replacing ~, then percent tokens and ${ENV}, each once.

    Raises TokenError.
    """

    def value(match: re.Match[str]) -> str:
        if match["token"] is not None:
            return _expand_token(match["token"], tokens, PATH_TOKENS)
        if not match["closing"]:
            raise TokenError("'${' without '}'")
        return _expand_variable(match["variable"], facts)

    return make_absolute(_EXPANDABLE.sub(value, expand_home(text, facts)), facts)


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


def _expand_token(letter: str, tokens: Tokens, accepted: frozenset[str]) -> str:
    if letter == "%":
        return "%"
    if letter in accepted and letter in tokens:
        return tokens[letter]
    if not letter:
        raise TokenError("a percent sign at the end; a literal one is written %%")
    raise TokenError(f"unknown token %{letter}; a literal percent sign is written %%")


def _expand_variable(name: str, facts: Facts) -> str:
    value = facts.environment.get(name)
    if value is None:
        raise TokenError(f"the environment has no variable {name}")
    return value

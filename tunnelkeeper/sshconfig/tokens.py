"""Expands what ssh_config(5) lets a value hold: percent tokens, ${ENV}, and ~ in front of a path.

Each place takes its own set of tokens (ssh_config(5), TOKENS); one that is unknown there is an
error, as it is for ssh, and never left in the text. Nothing here looks at files.
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
"""What each letter stands for. %% is known everywhere."""

PATH_TOKENS = frozenset("CdhijkLlnpru")
"""CertificateFile, IdentityAgent, IdentityFile, UserKnownHostsFile; these take ${ENV} as well."""
PROXY_TOKENS = frozenset("hnpr")
"""ProxyCommand and ProxyJump."""

_EXPANDABLE = re.compile(r"%(?P<token>.?)|\$\{(?P<variable>[^}]*)(?P<closing>\}?)", re.DOTALL)
_TOKEN = re.compile(r"%(?P<token>.?)", re.DOTALL)


class TokenError(ValueError):
    """A value held something that cannot be expanded; the text says what."""


@dataclass(frozen=True, slots=True)
class Destination:
    """The far end that tokens speak of. asked: what ssh was asked for (%n), hostname: %h.

    jump: the last jump host on the way there (%j), or empty.
    """

    original_host: str
    hostname: str
    port: int
    user: str
    host_key_alias: str | None = None
    jump: str = ""


def tokens_for(destination: Destination, facts: Facts) -> Tokens:
    """All tokens that make sense before a connection."""
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
        "T": "NONE",  # no tun(4) device: these tunnels do not ask for one
        "u": facts.user,
    }


def expand(text: str, tokens: Tokens, accepted: frozenset[str]) -> str:
    """A text with its percent tokens replaced; nothing else is touched, least of all quotes.

    Raises TokenError.
    """
    return _TOKEN.sub(lambda match: _expand_token(match["token"], tokens, accepted), text)


def expand_path(text: str, tokens: Tokens, facts: Facts) -> str:
    """An absolute path, with ~, percent tokens and ${ENV} replaced in that order, each once.

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
    """A path with ~ or ~user in front replaced.

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
    """A path as seen from the root; a relative one is relative to the working folder, as in ssh."""
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

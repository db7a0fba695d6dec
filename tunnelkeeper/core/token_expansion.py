"""Percent tokens and ${VARIABLES} in text, by the grammar of ssh_config(5), TOKENS.

Each setting accepts its own set of tokens. Any other token is an error, as in ssh, and is never
left in the text. Each token is replaced once. This module looks no value up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

Tokens = Mapping[str, str]
"""The value of each token letter. %% is accepted everywhere."""

PATH_TOKENS = frozenset("CdhijkLlnpru")
"""For paths of files and of forwarded sockets, which accept ${VARIABLES} too."""
PROXY_TOKENS = frozenset("hnpr")
"""For ProxyCommand and ProxyJump."""
KNOWN_HOSTS_TOKENS = frozenset("fHIKt")
"""Further tokens of KnownHostsCommand, about the host key that the server presents."""
COMMAND_TOKENS = PATH_TOKENS
"""For the arguments of password_command."""
KEY_COMMAND_TOKENS = COMMAND_TOKENS | {"f"}
"""For the arguments of passphrase_command; %f is the path of the key."""
LOOKUP_TOKENS = frozenset("Chjkpr")
"""The tokens of PATH_TOKENS whose values are known only after the lookup of the host."""
TUNNEL_TOKENS = LOOKUP_TOKENS | {"n"}
"""The tokens of PATH_TOKENS that can have different values for two tunnels of one machine."""

_VARIABLE = re.compile(r"\$\{(?P<variable>[^}]*)(?P<closing>\}?)", re.DOTALL)
_EXPANDABLE = re.compile(rf"%(?P<token>.?)|{_VARIABLE.pattern}", re.DOTALL)
_TOKEN = re.compile(r"%(?P<token>.?)", re.DOTALL)


class TokenError(ValueError):
    """Raised for a text that cannot be expanded; the message gives the reason."""


def expand(
    text: str,
    tokens: Tokens,
    accepted: frozenset[str],
    environment: Mapping[str, str] | None = None,
) -> str:
    """Replace percent tokens and, with an environment, ${VARIABLES}. Quotes stay as they are.

    Raises TokenError.
    """
    if environment is None:
        return _TOKEN.sub(lambda match: _expand_token(match["token"], tokens, accepted), text)

    def value(match: re.Match[str]) -> str:
        if match["token"] is not None:
            return _expand_token(match["token"], tokens, accepted)
        return _variable(match, environment)

    return _EXPANDABLE.sub(value, text)


def expand_variables(text: str, environment: Mapping[str, str]) -> str:
    """Replace ${VARIABLES} and nothing else.

    Raises TokenError.
    """
    return _VARIABLE.sub(lambda match: _variable(match, environment), text)


def token_letters(text: str, accepted: frozenset[str]) -> frozenset[str]:
    """Return the letters of the percent tokens of a text. Expand nothing.

    Raises TokenError.
    """
    letters = {match["token"] for match in _TOKEN.finditer(text)}
    for letter in letters:
        _expand_token(letter, dict.fromkeys(accepted, ""), accepted)
    return frozenset(letters - {"%"})


def escape_percent(text: str) -> str:
    """Escape a text so that expanding it returns it."""
    return text.replace("%", "%%")


def _expand_token(letter: str, tokens: Tokens, accepted: frozenset[str]) -> str:
    if letter == "%":
        return "%"
    if letter in accepted and letter in tokens:
        return tokens[letter]
    if not letter:
        raise TokenError("a percent sign at the end; a literal one is written %%")
    raise TokenError(f"unknown token %{letter}; a literal percent sign is written %%")


def _variable(match: re.Match[str], environment: Mapping[str, str]) -> str:
    name = match["variable"]
    if not match["closing"]:
        raise TokenError("'${' without '}'")
    if name not in environment:
        raise TokenError(f"the environment has no variable {name}")
    return environment[name]

"""Expansion of percent tokens in the socket paths of a tunnel's forwards.

ssh expands the paths of LocalForward, RemoteForward and DynamicForward in the same way. A path with
a token of the host, such as %h, waits for the lookup of the host. Variables are expanded earlier,
when the config file is read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from tunnelkeeper.core.forward_spec import socket_paths, with_socket_paths
from tunnelkeeper.core.host_spec import parse_host_spec
from tunnelkeeper.core.token_expansion import (
    LOOKUP_TOKENS,
    PATH_TOKENS,
    Tokens,
    expand,
    token_letters,
)
from tunnelkeeper.sshconfig.tokens import local_tokens

if TYPE_CHECKING:
    from tunnelkeeper.core.configuration import Tunnel
    from tunnelkeeper.core.forward_spec import Forward
    from tunnelkeeper.sshconfig import Facts


class ExpandedForward(Struct, frozen=True):
    """A forward with expanded socket paths.

    configured: the forward as in the config file. forward: the same as `configured` while its paths
    wait for the lookup of the host.
    """

    configured: Forward
    forward: Forward
    waits_for_lookup: bool = False


def expand_forwards(tunnel: Tunnel, facts: Facts, host_tokens: Tokens) -> list[ExpandedForward]:
    """Return the forwards of a tunnel. host_tokens: those of its host; empty before a lookup."""
    tokens = {**local_tokens(parse_host_spec(tunnel.host).host, facts), **host_tokens}
    return [_expand_forward(forward, tokens) for forward in tunnel.forwards]


def literal_forwards(tunnel: Tunnel) -> list[ExpandedForward]:
    """Return the forwards of a tunnel whose paths ssh itself has expanded."""
    return [ExpandedForward(forward, forward) for forward in tunnel.forwards]


def _expand_forward(forward: Forward, tokens: Tokens) -> ExpandedForward:
    letters = {
        letter for path in socket_paths(forward) for letter in token_letters(path, PATH_TOKENS)
    }
    if not letters.issubset(tokens) and not letters.isdisjoint(LOOKUP_TOKENS):
        return ExpandedForward(forward, forward, waits_for_lookup=True)
    expanded = with_socket_paths(forward, lambda path: expand(path, tokens, PATH_TOKENS))
    return ExpandedForward(forward, expanded)

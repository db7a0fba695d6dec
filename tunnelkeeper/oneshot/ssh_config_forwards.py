"""The forwards of ssh_config that no tunnel has. A plain ssh would make them; a tunnel does not.

It changes no file and connects to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.autossh.session_plan import (
    HONOURED_DIRECTIVES,
    configured_forwards,
    has_gateway_ports,
)
from tunnelkeeper.autossh.ssh_command import CommandLineError
from tunnelkeeper.core.forward_spec import (
    LOOPBACK,
    LocalForward,
    SocksForward,
    TcpAddress,
    kind_of,
    without_limits,
)
from tunnelkeeper.core.message import Message
from tunnelkeeper.sshconfig import obstacle_to_ssh
from tunnelkeeper.tunnel.forward_expansion import expand_forwards

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tunnelkeeper.core.configuration import Configuration, Tunnel
    from tunnelkeeper.core.forward_spec import Forward
    from tunnelkeeper.core.token_expansion import Tokens
    from tunnelkeeper.sshconfig import Answer, Facts, HostLookup


async def find_deviations(
    lookup: HostLookup, configuration: Configuration, tunnel: Tunnel, facts: Facts, tokens: Tokens
) -> list[Message]:
    """Return one message for each setting of ssh_config that a tunnel does not follow.

    tokens: those of its host. Forwards are compared with those of all tunnels to the host.
    """
    if obstacle_to_ssh(facts) is not None:  # only ssh prints the forwards of ssh_config
        return [*map(Message, await lookup.find_deviations(tunnel))]
    deviations = [*map(Message, await lookup.find_deviations(tunnel, HONOURED_DIRECTIVES))]
    answer = await lookup.find_answer(tunnel)
    listed = _forwards_to_host(configuration, tunnel, facts, tokens)
    unused = _unused_forwards(answer, tunnel, listed)
    return deviations + [message.about(tunnel.host) for message in unused]


def _forwards_to_host(
    configuration: Configuration, tunnel: Tunnel, facts: Facts, tokens: Tokens
) -> set[Forward]:
    """Return the forwards of all tunnels to the host of a tunnel, with and without tokens."""
    others = [each for each in configuration.tunnels.values() if each.host == tunnel.host]
    expanded = [each for other in others for each in expand_forwards(other, facts, tokens)]
    both = (forward for each in expanded for forward in (each.configured, each.forward))
    return {without_limits(forward) for forward in both}


def _unused_forwards(answer: Answer, tunnel: Tunnel, listed: set[Forward]) -> Iterator[Message]:
    """Yield a message for each forward of ssh_config that no tunnel to this host has."""
    try:
        configured = configured_forwards(answer)
    except CommandLineError as error:
        yield Message(f"ssh_config: {error}", error.hint)
        return
    for forward in configured:
        if forward not in listed:
            kind = kind_of(forward)
            yield Message(
                f"the {kind} forward {forward} of ssh_config is not used",
                f"add it to `{kind}`, or remove it from ssh_config",
            )
    for forward in tunnel.forwards:
        if (
            without_limits(forward) not in configured
            and _is_on_loopback(forward)
            and has_gateway_ports(answer)
        ):
            yield Message(
                f"{forward} listens on this machine only, despite GatewayPorts of ssh_config",
                "write `*:PORT` to listen on all interfaces",
            )


def _is_on_loopback(forward: Forward) -> bool:
    match forward:
        case (
            LocalForward(listen=TcpAddress(host=host)) | SocksForward(listen=TcpAddress(host=host))
        ):
            return host == LOOPBACK
    return False

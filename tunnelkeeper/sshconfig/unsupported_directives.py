"""Directives of ssh_config that tunnelkeeper does not support. This module only lists them.

A directive counts only if ignoring it changes the result for the user. Not listed: directives
without effect unless there is a session (ForwardAgent, SendEnv), those that tunnelkeeper implements
differently (ControlMaster, ConnectionAttempts, ExitOnForwardFailure), and those that distributions
enable by default (GSSAPIAuthentication, RequiredRSASize).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.sshconfig.ssh_g_output import get_flag, get_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.sshconfig.lookup_request import Answer

OFF = frozenset({"no", "false"})
UNSET = frozenset({"none", ""})

UNSUPPORTED = {
    "BindInterface": UNSET,
    "ChannelTimeout": UNSET,
    "DynamicForward": UNSET,
    "GatewayPorts": OFF,
    "GSSAPIKeyExchange": OFF,
    "HostbasedAuthentication": OFF,
    "KnownHostsCommand": UNSET,
    "LocalForward": UNSET,
    "NoHostAuthenticationForLocalhost": OFF,
    "PKCS11Provider": UNSET,
    "PubkeyAuthentication": frozenset({"yes", "true", "unbound", "host-bound"}),
    "RefuseConnection": UNSET,
    "RekeyLimit": frozenset({"0 0"}),
    "RemoteForward": UNSET,
    "SecurityKeyProvider": UNSET | {"internal", "$ssh_sk_provider"},
    "Tunnel": OFF,
    "VerifyHostKeyDNS": OFF,
}
"""Directives of ssh_config(5), and the values with which each has no effect."""


def _has_local_command(answer: Answer) -> bool:
    permitted = get_flag(answer, "permitlocalcommand", default=False)
    return permitted and get_value(answer, "localcommand") is not None


def _uses_fd_passing(answer: Answer) -> bool:
    passed = get_flag(answer, "proxyusefdpass", default=False)
    return passed and get_value(answer, "proxycommand") is not None


def _excludes_publickey(answer: Answer) -> bool:
    preferred = get_value(answer, "preferredauthentications")
    return preferred is not None and "publickey" not in preferred.split(",")


_COMBINED: dict[str, Callable[[Answer], bool]] = {
    "LocalCommand": _has_local_command,
    "PreferredAuthentications": _excludes_publickey,
    "ProxyUseFdpass": _uses_fd_passing,
}


def find_unsupported(answer: Answer) -> list[str]:
    """Return the unsupported directives in effect, in alphabetical order."""
    alone = [
        name
        for name, harmless in UNSUPPORTED.items()
        for value in answer.get(name.lower(), [])[:1]
        if value.lower() not in harmless
    ]
    combined = [name for name, counts in _COMBINED.items() if counts(answer)]
    return sorted([*alone, *combined], key=str.lower)

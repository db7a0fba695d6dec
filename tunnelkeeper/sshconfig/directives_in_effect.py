"""Directives in effect for a host that tunnelkeeper does not honour: named, or refused.

core.ssh_directives has the table of all directives. A directive counts only if ignoring it changes
the result for the user.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.core.ssh_directives import DIRECTIVES, Support
from tunnelkeeper.core.text import printable
from tunnelkeeper.sshconfig.lookup_request import SshConfigError
from tunnelkeeper.sshconfig.ssh_g_output import get_flag, get_value

if TYPE_CHECKING:
    from collections.abc import Callable

    from tunnelkeeper.sshconfig.lookup_request import Answer

NAMED = {
    name: directive.inert or frozenset()
    for name, directive in DIRECTIVES.items()
    if directive.is_named
}
REFUSED = {
    name: directive.inert or frozenset()
    for name, directive in DIRECTIVES.items()
    if directive.support is Support.REFUSED
}
READ_BY_FALLBACK = (
    *NAMED,
    *REFUSED,
    "ClearAllForwardings",
    "PermitLocalCommand",
    "RefuseConnection",
)
"""The directives of this module that the reader without ssh has to recognize."""


def _permits_local_command(answer: Answer) -> bool:
    return get_flag(answer, "permitlocalcommand", default=False)


def _has_proxy_command(answer: Answer) -> bool:
    return get_value(answer, "proxycommand") is not None


_CONDITIONS: dict[str, Callable[[Answer], bool]] = {
    "LocalCommand": _permits_local_command,
    "ProxyUseFdpass": _has_proxy_command,
}
"""Further conditions for a directive to have an effect."""


def find_ignored(answer: Answer) -> list[str]:
    """Return the harmless directives in effect that are not honoured, in alphabetical order."""
    return _in_effect(answer, NAMED)


def reject_refused(host: str, answer: Answer) -> None:
    """Reject a host whose ssh_config forbids what tunnelkeeper would do.

    Raises SshConfigError.
    """
    if message := get_value(answer, "refuseconnection"):
        raise SshConfigError(
            f"{host}: ssh_config refuses the connection: {printable(message)}",
            "see RefuseConnection in ssh_config(5)",
        )
    for name in _in_effect(answer, REFUSED):
        value = printable(" ".join(answer[name.lower()]))
        effect = DIRECTIVES[name].effect
        raise SshConfigError(
            f"{host}: {name} {value} of ssh_config cannot be honoured: {effect}",
            f"change it for this host; `ssh -G {host}` prints the settings in effect",
        )


def reject_forwards(host: str, answer: Answer) -> None:
    """Reject the forwards of a tunnel to a host whose ssh_config forbids them.

    Raises SshConfigError.
    """
    if get_flag(answer, "clearallforwardings", default=False):
        raise SshConfigError(
            f"{host}: ClearAllForwardings yes of ssh_config forbids the forwards of this tunnel",
            "change it for this host, or remove the tunnel",
        )


def _in_effect(answer: Answer, directives: dict[str, frozenset[str]]) -> list[str]:
    return [
        name
        for name, inert in directives.items()
        for value in answer.get(name.lower(), [])[:1]
        if value.lower() not in inert and _CONDITIONS.get(name, _always)(answer)
    ]


def _always(_answer: Answer) -> bool:
    return True

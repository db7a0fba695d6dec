"""The way to a hop, and what belongs to the hop reached by it: the answers of its login.

Behind two jump hosts one address can be two servers, so nothing of one is used for the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.questions.sources import HopKey
from tunnelkeeper.ssh.auth.login_answers import LoginAnswers

if TYPE_CHECKING:
    from tunnelkeeper.core.configuration import Host
    from tunnelkeeper.ssh.connection import Connection
    from tunnelkeeper.ssh.context import ProgressListener, SshContext


def way_to(host: Host, jump: Connection | None) -> tuple[str, ...]:
    """Return the proxy command or the jump hosts through which a host is reached, nearest first."""
    way = [host.proxy_command] if host.proxy_command is not None else []
    while jump is not None:
        way.append(str(jump.host))
        jump = jump.jump
    return tuple(way)


def login_answers(
    host: Host, jump: Connection | None, context: SshContext, progress: ProgressListener
) -> LoginAnswers:
    """Return what answers the questions of a login on a host, and on no other."""
    key = HopKey(str(host), way_to(host, jump))
    about = f"{key.hop} through {', '.join(key.way)}" if jump is not None else key.hop
    return LoginAnswers(
        host,
        key,
        context.questions.dialog(about, progress.tunnel),
        context.answers,
        context.login_memory,
        progress,
        unlock_command=context.unlocker.command_for(progress.tunnel),
    )

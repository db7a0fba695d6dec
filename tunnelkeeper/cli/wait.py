"""`tunnelkeeper wait`: return when tunnels are up or down. Other commands wait with it too."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from tunnelkeeper.cli.duration_option import Seconds
from tunnelkeeper.cli.help_text import TunnelsCommand
from tunnelkeeper.cli.json_output import json_option, set_result
from tunnelkeeper.cli.message_output import print_failures
from tunnelkeeper.cli.names import expand_names
from tunnelkeeper.cli.results import Tunnels
from tunnelkeeper.cli.settings import CommandError
from tunnelkeeper.control.client import decode_result
from tunnelkeeper.control.client_errors import NoSupervisorError
from tunnelkeeper.control.payloads import RemovedEvent, TunnelEvent
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.snapshot import StatusSnapshot, TunnelSnapshot

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.control.client import Client
    from tunnelkeeper.control.payloads import Event
    from tunnelkeeper.core.snapshot import QuestionSnapshot, TunnelSnapshot

_STATE = {"up": "up", "down": "stopped"}


SETTLE_TIMEOUT = 30.0
"""Seconds for tunnels to settle after their questions, without the time for the answers."""

SETTLED_ATTEMPTS = 3
"""After this many failed attempts in a row a tunnel counts as settled, though it retries."""


_EXAMPLES = """\b
Examples:
  tunnelkeeper wait db --timeout 60 && pg_dump -h 127.0.0.1 shop > shop.sql
  tunnelkeeper wait db --for down
"""


@click.command(cls=TunnelsCommand, epilog=_EXAMPLES)
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option("--for", "goal", type=click.Choice(["up", "down"]), default="up", show_default=True)
@click.option("--timeout", metavar="S", type=Seconds(), help="Give up after seconds.")
@json_option("Print the tunnels as JSON.")
@click.pass_obj
def command(settings: Settings, names: tuple[str, ...], goal: str, timeout: float | None) -> int:
    """Wait until every NAME is up, or down; without a timeout, for ever."""
    deadline = None if timeout is None else time.monotonic() + timeout
    wanted = _STATE[goal]

    def holds(tunnel: TunnelSnapshot) -> bool:
        return tunnel.state == wanted

    with settings.client_for_config() as client:
        try:
            names = tuple(expand_names(client, names))
            seen = wait_until(client, names, holds, deadline)
        except NoSupervisorError:
            if goal == "up":
                raise
            set_result(Tunnels([]))
            return ExitCode.OK  # the tunnels went down with the supervisor
    set_result(Tunnels(list(seen.values())))
    if goal == "up" and (gone := sorted(set(names) - set(seen))):
        raise CommandError(f"no longer there: {', '.join(gone)}", ExitCode.NOT_FOUND)
    late = [tunnel for tunnel in seen.values() if not holds(tunnel)]
    for tunnel in late:
        print_failures(tunnel)
    if late:
        raise TimeoutError(f"not {goal} within {timeout:g} s: {', '.join(t.name for t in late)}")
    return ExitCode.OK


F = TypeVar("F", bound=Callable[..., Any])


def settle_timeout(text: str) -> Callable[[F], F]:
    """Add --timeout to a command that waits until tunnels have settled. text: its help."""
    return click.option(
        "--timeout", metavar="S", type=Seconds(), default=30, show_default=True, help=text
    )


class Answers:
    """Who answers the questions of the tunnels that are waited for. This class: no one."""

    def attend(self) -> None:
        """Tell the supervisor that a person is here."""

    def learn(self, questions: Iterable[QuestionSnapshot]) -> None:
        """Take the open questions of a status."""

    def on_event(self, event: Event) -> None:
        """Take an event, which may be about a question."""

    def ask(self) -> float:
        """Ask what can be asked now. Return the seconds that the person took."""
        return 0.0

    def expects_more(self, tunnel: TunnelSnapshot) -> bool:
        """Return whether a tunnel that is blocked proceeds when its question is answered here."""
        return False


NO_ANSWERS = Answers()


def wait_until(
    client: Client,
    names: Collection[str],
    holds: Callable[[TunnelSnapshot], bool],
    deadline: float | None,
    answers: Answers = NO_ANSWERS,
) -> dict[str, TunnelSnapshot]:
    """Follow tunnels until a condition holds for each, or the deadline (of time.monotonic()).

    answers: who answers questions meanwhile. The time that takes does not count, and a tunnel that
    waits for an answer is waited for.

    Returns their last snapshots, without tunnels that a reload removed meanwhile.
    Raises NoSupervisorError when the supervisor ends, RemoteError for an unknown name.
    """
    if not names:
        return {}
    answers.attend()
    status = decode_result(client.follow("status", names=list(names)), StatusSnapshot)
    seen = {tunnel.name: tunnel for tunnel in status.tunnels}
    answers.learn(status.questions)
    while True:
        taken = answers.ask()
        deadline = None if deadline is None else deadline + taken
        if all(holds(tunnel) and not answers.expects_more(tunnel) for tunnel in seen.values()):
            return seen
        try:
            event = next(client.events(deadline))
        except TimeoutError:
            return seen  # the last snapshots are the answer
        match event:
            case TunnelEvent(tunnel) if tunnel.name in seen:
                seen[tunnel.name] = tunnel
            case RemovedEvent(name):
                seen.pop(name, None)
        answers.on_event(event)


def is_settled(tunnel: TunnelSnapshot) -> bool:
    """Return whether a tunnel that was just started needs no further wait."""
    if tunnel.state == "backoff":
        return tunnel.attempt >= SETTLED_ATTEMPTS
    return tunnel.state in {"up", "degraded", "blocked", "stopped"}

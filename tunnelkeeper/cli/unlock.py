"""`tunnelkeeper unlock`, `lock` and `questions`: what only a person can answer."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from tunnelkeeper.cli.answering import TerminalAnswers
from tunnelkeeper.cli.duration_option import parse_duration
from tunnelkeeper.cli.help_text import TunnelsCommand
from tunnelkeeper.cli.json_output import json_option, print_text, set_result
from tunnelkeeper.cli.names import expand_names
from tunnelkeeper.cli.results import Unlocked
from tunnelkeeper.cli.settings import WORK_TIMEOUT, CommandError
from tunnelkeeper.cli.terminal import Terminal
from tunnelkeeper.cli.up import print_results
from tunnelkeeper.cli.wait import is_settled, settle_timeout, wait_until
from tunnelkeeper.control import question_client
from tunnelkeeper.control.client import decode_result
from tunnelkeeper.control.payloads import Locked, Questions, Unlocking
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.text import printable
from tunnelkeeper.presentation.question_text import awaited, command_to_answer

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.control.client import Client


_UNLOCK_EXAMPLES = """\b
Examples:
  tunnelkeeper unlock
  tunnelkeeper unlock db --for 8h
  tunnelkeeper unlock --key ~/.ssh/id_ed25519
"""


@click.command(cls=TunnelsCommand, epilog=_UNLOCK_EXAMPLES)
@click.argument("names", metavar="[NAME]...", nargs=-1)
@click.option("--key", metavar="FILE", help="Unlock this private key only.")
@click.option(
    "--for",
    "duration",
    metavar="TIME",
    callback=parse_duration,
    help="Keep the keys in memory for this long, such as 8h. Default: until `lock`, or the end.",
)
@settle_timeout("Wait at most this many seconds for the tunnels, without the time for answers.")
@json_option("Print the tunnels, or the key, as JSON.")
@click.pass_obj
def unlock(
    settings: Settings,
    names: tuple[str, ...],
    key: str | None,
    duration: float | None,
    timeout: float,
) -> int:
    """Answer what tunnels wait for; without a NAME, what any of them waits for.

    Passphrases of their keys are asked, logins that need a password or a code begin, and unknown
    host keys are shown.
    """
    if key is not None and names:
        raise click.UsageError("name tunnels, or a key with --key, not both")
    deadline = time.monotonic() + timeout
    terminal = Terminal.open()
    if terminal is None:
        raise CommandError(
            "cannot ask: there is no terminal",
            hint="run this on a terminal, or set passphrase_command or password_command in the "
            "config file",
        )
    with terminal, settings.client_for_config(WORK_TIMEOUT) as client:
        path = None if key is None else str(Path(key).expanduser().absolute())
        names = tuple(expand_names(client, names))
        unlocking = decode_result(
            client.call("unlock", key=path, names=list(names) or None, for_seconds=duration),
            Unlocking,
        )
        for problem in unlocking.problems:
            click.echo(printable(problem, 1000), err=True)
        if path is not None:
            return _unlock_key(client, terminal, path, unlocking)
        return _unlock_tunnels(client, terminal, names, unlocking, deadline)


def _unlock_key(client: Client, terminal: Terminal, path: str, unlocking: Unlocking) -> int:
    if not unlocking.questions:
        if unlocking.problems:
            set_result(Unlocked([], None, unlocking.problems))
            return ExitCode.FAILED
        print_text(f"{printable(path)} is not locked")
        set_result(Unlocked([], path))
        return ExitCode.OK
    answers = TerminalAnswers(client, terminal, (), [path])
    answers.learn(question_client.questions(client))
    answers.ask_keys()
    if any(question.about == path for question in question_client.questions(client)):
        raise CommandError(f"{printable(path)} is still locked")
    print_text(f"unlocked {printable(path)}")
    set_result(Unlocked([], path, unlocking.problems))
    return ExitCode.OK


def _unlock_tunnels(
    client: Client,
    terminal: Terminal,
    names: tuple[str, ...],
    unlocking: Unlocking,
    deadline: float,
) -> int:
    """Ask what the tunnels wait for. unlocking: the questions about their private keys."""
    status = client.status(list(names) or None)
    waiting = {name for question in status.questions for name in question.tunnels}
    chosen = [t.name for t in status.tunnels if names or t.name in waiting]
    keys = {question.about for question in status.questions if question.id in unlocking.questions}
    if not chosen:
        print_text("no tunnel waits for an answer")
        set_result(Unlocked([], None, unlocking.problems))
        return ExitCode.OK
    answers = TerminalAnswers(client, terminal, chosen, keys)
    tunnels = wait_until(client, chosen, is_settled, deadline, answers)
    set_result(Unlocked(list(tunnels.values()), None, unlocking.problems))
    return print_results(tunnels)


_LOCK_EXAMPLES = """\b
Examples:
  tunnelkeeper lock
"""


@click.command(cls=TunnelsCommand, epilog=_LOCK_EXAMPLES)
@json_option("Print how much was forgotten as JSON.")
@click.pass_obj
def lock(settings: Settings) -> int:
    """Forget the decrypted keys and the passwords in memory. Connections stay up.

    A tunnel that has to log in again then waits for `tunnelkeeper unlock`.
    """
    with settings.client_for_config(WORK_TIMEOUT) as client:
        locked = decode_result(client.call("lock"), Locked)
    set_result(locked)
    print_text(f"forgotten: {_count(locked.keys, 'key')}, {_count(locked.passwords, 'password')}")
    return ExitCode.OK


_QUESTIONS_EXAMPLES = """\b
Examples:
  tunnelkeeper questions
  tunnelkeeper questions --json
"""


@click.command(cls=TunnelsCommand, epilog=_QUESTIONS_EXAMPLES)
@json_option("Print the questions as JSON.")
@click.pass_obj
def questions(settings: Settings) -> int:
    """Show what tunnels wait for a person to answer, and the command that asks it."""
    with settings.client_for_config() as client:
        found = question_client.questions(client)
    set_result(Questions(found))
    for question in found:
        who = ", ".join(map(printable, question.tunnels)) or "no tunnel"
        print_text(f"{who}: waits for {awaited(question)}")
        if question.problem:
            print_text(f"    {printable(question.problem)}")
        if command := command_to_answer(question):
            print_text(f"    {command}")
    if not found:
        print_text("no question is open")
    return ExitCode.OK


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"

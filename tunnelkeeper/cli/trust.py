"""`tunnelkeeper trust`: show the host keys of a chain, and ask whether to accept new ones."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Self

import click

from tunnelkeeper.cli import launch
from tunnelkeeper.cli.answering import END_TIMEOUT, read_answers
from tunnelkeeper.cli.help_text import TunnelsCommand
from tunnelkeeper.cli.json_output import is_requested, json_option, set_result
from tunnelkeeper.cli.message_output import print_sentence
from tunnelkeeper.cli.settings import CommandError
from tunnelkeeper.cli.terminal import DeclinedError, Terminal, WithdrawnError
from tunnelkeeper.config import ConfigError
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.hop_keys import HopKey, Outcome
from tunnelkeeper.core.secret import Secret

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.core.snapshot import QuestionSnapshot

_EXAMPLES = """\b
Examples:
  tunnelkeeper trust db
  tunnelkeeper trust db --fingerprint SHA256:...   # accept this key only
"""


@click.command(cls=TunnelsCommand, epilog=_EXAMPLES)
@click.argument("reference", metavar="NAME|HOST")
@click.option(
    "--fingerprint",
    "fingerprints",
    metavar="FINGERPRINT",
    multiple=True,
    help="Accept the key with this fingerprint without a question, and no other; once per hop.",
)
@json_option("Print the keys as JSON; ask nothing.")
@click.pass_obj
def command(settings: Settings, reference: str, fingerprints: tuple[str, ...]) -> int:
    """Show the host keys of a tunnel's hops, and ask whether to accept unknown ones.

    Logs in to the jump hosts only. A changed or revoked key is refused.
    """
    for each in fingerprints:
        if not each.startswith("SHA256:"):
            message = f"expected SHA256:..., as ssh-keygen -l prints it, got {each!r}"
            raise click.BadParameter(message, param_hint="--fingerprint")
    terminal = None if is_requested() else Terminal.open()
    with _Person(terminal) as person:
        try:
            failure = launch.trust(settings.config, reference, fingerprints, person)
        except ConfigError as error:
            raise CommandError("\n".join(error.lines), ExitCode.USAGE) from error
    set_result([_as_object(key) for key in person.keys])
    if failure is not None:
        raise CommandError(str(failure), hint=failure.hint)
    return ExitCode.OK


class _Person:
    """The person at the terminal, if there is one. keys: what was found. A context manager.

    Its end makes the thread that asks restore the terminal, also after Ctrl-C.
    """

    def __init__(self, terminal: Terminal | None) -> None:
        self.keys: list[HopKey] = []
        self._terminal = terminal
        self._asking = threading.Lock()
        self._end = os.pipe()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.write(self._end[1], b"x")
        if self._asking.acquire(timeout=END_TIMEOUT):
            for descriptor in self._end:
                os.close(descriptor)
            if self._terminal is not None:
                self._terminal.close()

    def ask(self, question: QuestionSnapshot) -> list[Secret] | None:
        if self._terminal is None:
            return None
        with self._asking:
            try:
                return read_answers(self._terminal, question, self._end[0])
            except WithdrawnError:
                return None
            except DeclinedError:
                is_key = question.kind == "host_key"
                return [Secret.from_text("no")] if is_key else None

    def show(self, hop: HopKey) -> None:
        self.keys.append(hop)
        line = f"{hop.hop}: {hop.key}: {hop.outcome}"
        # The error message has the reason for a key that is not accepted.
        print_sentence(f"{line} ({hop.message})" if hop.outcome is Outcome.ACCEPTED else line)

    def show_message(self, text: str) -> None:
        click.echo(text, err=True)


def _as_object(hop: HopKey) -> dict[str, object]:
    return {
        "hop": hop.hop,
        "outcome": hop.outcome.value,
        "algorithm": hop.key.algorithm,
        "fingerprint": hop.key.fingerprint,
        "art": hop.key.art,
        "files": list(hop.key.files),
        "other_names": list(hop.key.other_names),
        "message": hop.message,
    }

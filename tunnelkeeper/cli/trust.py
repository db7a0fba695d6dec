"""`tunnelkeeper trust`: show the host keys of a chain, and ask whether to accept new ones."""

from __future__ import annotations

import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import click
import msgspec

from tunnelkeeper.cli import launch
from tunnelkeeper.cli.settings import CommandError
from tunnelkeeper.config import ConfigError
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.text import with_hint

if TYPE_CHECKING:
    from tunnelkeeper.cli.settings import Settings
    from tunnelkeeper.core.hop_keys import HopKey
    from tunnelkeeper.core.questions import HostKeyDetails, Question

ASK_AGAIN = "Please type 'yes', 'no' or the fingerprint: "

_EXAMPLES = """\b
Examples:
  tunnelkeeper trust db
  tunnelkeeper trust db --fingerprint SHA256:...   # for scripts: accepts this key only
"""


@click.command(epilog=_EXAMPLES)
@click.argument("reference", metavar="NAME|HOST")
@click.option(
    "--fingerprint",
    "fingerprints",
    metavar="FINGERPRINT",
    multiple=True,
    help="Accept the key with this fingerprint without a question, and no other; once per hop.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the keys as JSON; ask nothing.")
@click.pass_obj
def command(
    settings: Settings, reference: str, fingerprints: tuple[str, ...], as_json: bool
) -> int:
    """Show the host keys of a tunnel's hops, and ask whether to accept unknown ones.

    Logs in to the jump hosts only. A changed or revoked key is refused.
    """
    for each in fingerprints:
        if not each.startswith("SHA256:"):
            message = f"expected SHA256:..., as ssh-keygen -l prints it, got {each!r}"
            raise click.BadParameter(message, param_hint="--fingerprint")
    is_terminal = sys.stdin.isatty() and sys.stderr.isatty() and not as_json
    person = _Person(is_terminal, as_json)
    try:
        failure = launch.trust(settings.config, reference, fingerprints, person)
    except ConfigError as error:
        raise CommandError("\n".join(map(str, error.problems)), ExitCode.USAGE) from error
    if as_json:
        click.echo(
            msgspec.json.format(msgspec.json.encode([_as_object(key) for key in person.keys]))
        )
    if failure is not None:
        raise CommandError(with_hint(str(failure), failure.hint))
    return ExitCode.OK


@dataclass(slots=True)
class _Person:
    """The person at the terminal, if there is one. keys: what was found."""

    is_terminal: bool
    is_quiet: bool
    keys: list[HopKey] = field(default_factory=list)

    def ask(self, question: Question) -> list[str] | None:
        if not self.is_terminal:
            return None
        click.echo(question.text, err=True)
        if question.problem:
            click.echo(question.problem, err=True)
        if question.host_key is not None:
            _print_details(question.host_key)
            return [_ask_about_key(question.prompts[0].text, question.host_key.fingerprint)]
        answers = []
        for prompt in question.prompts:
            answer = _read(prompt.text, hide=not prompt.echo)
            if answer is None:
                return None
            answers.append(answer)
        return answers

    def show(self, hop: HopKey) -> None:
        self.keys.append(hop)
        if self.is_quiet:
            return
        line = f"{hop.hop}: {hop.key.algorithm} {hop.key.fingerprint}: {hop.outcome}"
        click.echo(f"{line} ({hop.message})" if hop.message else line)

    def show_message(self, text: str) -> None:
        click.echo(text, err=True)


def _print_details(key: HostKeyDetails) -> None:
    click.echo(f"\n{key.art}\n", err=True)
    click.echo(f"searched: {', '.join(key.files) or 'no file'}", err=True)
    for name in key.other_names:
        click.echo(f"the same key is at {name}", err=True)


def _ask_about_key(prompt: str, fingerprint: str) -> str:
    """Ask until the answer is one. The end of the input is a no."""
    answer = _read(prompt)
    while answer is not None and answer.lower() not in {"yes", "no"} and answer != fingerprint:
        answer = _read(ASK_AGAIN)
    return "no" if answer is None else answer


def _read(prompt: str, *, hide: bool = False) -> str | None:
    with suppress(click.Abort):
        answer: str = click.prompt(
            prompt.rstrip(),
            hide_input=hide,
            default="",
            show_default=False,
            prompt_suffix=" ",
            err=True,
        )
        return answer if hide else answer.strip()
    click.echo(err=True)
    return None


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

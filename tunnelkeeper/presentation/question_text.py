"""Text for questions: what a terminal shows before it reads the answers. Pure.

Text from other machines is made printable here, in case the supervisor did not do it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.core.questions import TEXT_LIMIT
from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tunnelkeeper.core.snapshot import HostKeySnapshot, QuestionSnapshot

WHAT = {
    "passphrase": "the passphrase of {}",
    "password": "the password for {}",
    "codes": "an answer for {}",
    "host_key": "the host key of {} to be accepted",
    "touch": "a touch for {}",
}
"""What a tunnel waits for, by the kind of the question. {}: the key file or the hop."""


def awaited(question: QuestionSnapshot) -> str:
    """Return what the tunnels of a question wait for, such as `the passphrase of /k`."""
    return WHAT[question.kind].format(printable(question.about))


def command_to_answer(question: QuestionSnapshot, program: str = "tunnelkeeper") -> str:
    """Return the command that asks the question on a terminal; empty for a touch."""
    if question.kind == "touch":
        return ""
    names = " ".join(printable(name) for name in question.tunnels)
    if question.kind == "host_key":
        first = question.tunnels[0] if question.tunnels else question.about
        return f"{program} trust {printable(first)}"
    if names:
        return f"{program} unlock {names}"
    return f"{program} unlock --key {printable(question.about)}"


def introduction(question: QuestionSnapshot) -> list[str]:
    """Return the lines before the prompts. The prompt for a passphrase needs none, as in ssh."""
    lines = []
    if question.kind != "passphrase":
        lines.append(printable(question.text, TEXT_LIMIT))
    if question.host_key is not None:
        lines += _host_key_lines(question.host_key)
    if len(question.tunnels) > 1:
        lines.append(f"Waiting for it: {', '.join(map(printable, question.tunnels))}.")
    if question.problem:
        lines.append(f"{_capitalized(printable(question.problem))}.")
    return lines


def prompt_texts(question: QuestionSnapshot) -> list[str]:
    """Return a text for each prompt, which ends in a space."""
    return [f"{printable(prompt.text).strip()} " for prompt in question.prompts]


def _host_key_lines(key: HostKeySnapshot) -> list[str]:
    lines = [f"Key: {printable(key.algorithm)} {printable(key.fingerprint)}"]
    if key.files:
        lines.append(f"Searched: {_join(key.files)}")
    names = f"This key is known by other names: {_join(key.other_names)}"
    lines.append(names if key.other_names else "This key is not known by any other name.")
    return lines


def _join(texts: Sequence[str]) -> str:
    return ", ".join(map(printable, texts))


def _capitalized(text: str) -> str:
    return text[:1].upper() + text[1:]

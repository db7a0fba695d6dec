"""When a program such as ssh-askpass asks a person, and in which words. Pure: it runs nothing.

The rules are those of ssh: SSH_ASKPASS and SSH_ASKPASS_REQUIRE in ssh(1), ENVIRONMENT.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from tunnelkeeper.core.questions import LOGIN_KINDS, Kind, Prompt, Question
from tunnelkeeper.core.text import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

DEFAULT_PROGRAMS = ("/usr/bin/ssh-askpass", "/usr/libexec/openssh/ssh-askpass")
"""Where distributions put the program that ssh uses without SSH_ASKPASS."""

CONFIRM = "confirm"
"""The value of SSH_ASKPASS_PROMPT for a dialog with two buttons; its exit status is the answer."""

TEXT_LIMIT = 2000
"""Characters of the text that the program gets as its argument."""


class AskPassProgram(Struct, frozen=True):
    """The program to ask with. is_preferred: even while a client is there that could ask."""

    path: str
    is_preferred: bool = False


def find_program(
    environment: Mapping[str, str], is_executable: Callable[[str], bool]
) -> AskPassProgram | None:
    """Return the program to ask with, or None if there is none or no display to ask on."""
    require = environment.get("SSH_ASKPASS_REQUIRE", "").lower()
    if require == "never":
        return None
    has_display = environment.get("DISPLAY") or environment.get("WAYLAND_DISPLAY")
    if not has_display and require != "force":
        return None
    path = environment.get("SSH_ASKPASS") or next(filter(is_executable, DEFAULT_PROGRAMS), None)
    return None if path is None else AskPassProgram(path, require in {"force", "prefer"})


def dialog_text(question: Question, prompt: Prompt) -> str:
    """Return the text of a dialog for one prompt of a question. It names the hop or key."""
    lines = [question.problem, question.text]
    details = question.host_key
    if details is not None:
        if details.fingerprint not in question.text:
            lines.append(f"{details.algorithm} key fingerprint is {details.fingerprint}")
        if details.other_names:
            lines.append(f"This key is known as: {', '.join(details.other_names)}")
    if question.subject.kind is Kind.PASSPHRASE:
        del lines[-1]  # the prompt names the key
    return _bounded([*lines, prompt.text])


def consent_text(question: Question) -> str:
    """Return the text of the dialog that asks whether to start a login that will ask."""
    what = "a password" if question.subject.kind is Kind.PASSWORD else "a code"
    return _bounded([question.problem, f"{question.subject.about} asks for {what}. Log in now?"])


def needs_consent(question: Question) -> bool:
    """Return whether a login has to be started before anything can be asked."""
    return question.subject.kind in LOGIN_KINDS and not question.is_live


def _bounded(lines: list[str]) -> str:
    text = "\n".join(printable(line.strip(), TEXT_LIMIT) for line in lines if line.strip())
    return text[:TEXT_LIMIT]

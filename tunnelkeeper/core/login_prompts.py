"""What a server asks at a login with keyboard-interactive (RFC 4256): a password, or codes.

It decides from the text, as a person would, and in doubt against a password: a stored password
answers a question that is certainly for one, and everything else is asked of a person.
"""

from __future__ import annotations

import re

from msgspec import Struct

from tunnelkeeper.core.questions import TEXT_LIMIT, Kind, Prompt
from tunnelkeeper.core.text import quoted

_PASSWORD = re.compile(
    r"password|passwort|kennwort|mot de passe|contrase|senha|wachtwoord|parola|has[łl]o|"
    r"l[öo]senord|пароль|密码|密碼|パスワード|비밀번호",
    re.IGNORECASE,
)
_CODE = re.compile(
    r"code|otp|token|verif|passcode|\bpins?\b|one[- ]?time|factor|duo|yubi|challenge|response|"
    r"authenticator|einmal|unique",
    re.IGNORECASE,
)
_CHANGE = re.compile(
    r"\bnew|old\b|current|retype|re-enter|repeat|again|confirm|change|neue|altes|aktuell|"
    r"nouveau|actuel|nuev|actual",
    re.IGNORECASE,
)
_ADDRESS = re.compile(r"\S+@\S+")
"""`user@host`, as in `ann@code.example's password:`. Its words say nothing about the question."""

_QUOTED_LIMIT = TEXT_LIMIT - 200
_MAX_LINES = 40
"""Lines of a server's text that are kept. A list of ways to get a code has a few."""


class Round(Struct, frozen=True):
    """One message of a server with a name, an instruction and prompts, each with its echo flag."""

    name: str = ""
    instruction: str = ""
    prompts: tuple[tuple[str, bool], ...] = ()

    @property
    def notice(self) -> str:
        """What it says besides its prompts, on one line."""
        return _joined([*_lines(self.name), *_lines(self.instruction)])

    @property
    def changes_password(self) -> bool:
        """Whether it asks for a password in order to change it: the old or the new one."""
        texts = [_ADDRESS.sub("", text) for text, echo in self.prompts if not echo]
        return any(_PASSWORD.search(text) and _CHANGE.search(text) for text in texts)

    @property
    def kind(self) -> Kind:
        """PASSWORD for a single prompt, without echo, for the current password; else CODES."""
        if len(self.prompts) != 1:
            return Kind.CODES
        text, echo = self.prompts[0]
        prompt = _ADDRESS.sub("", text)
        asks_for_password = _PASSWORD.search(prompt) and not _CHANGE.search(prompt)
        is_code = _CODE.search(prompt) or _CODE.search(_ADDRESS.sub("", self.notice))
        return Kind.PASSWORD if asks_for_password and not is_code and not echo else Kind.CODES

    def question(self, hop: str, notices: tuple[str, ...] = ()) -> tuple[str, tuple[Prompt, ...]]:
        """Return the text and the prompts of the question for a person.

        notices: the server's texts of rounds before, which had no prompts. Of a prompt with
        several lines the last one is the prompt; the others, such as a list of devices, are text.
        """
        texts = [notice for notice in (*notices, self.notice) if notice]
        prompts = []
        for text, echo in self.prompts:
            *before, last = _lines(text) or [""]
            texts += before
            prompts.append(Prompt.of(last or "Answer:", echo=echo))
        what = "a password" if self.kind is Kind.PASSWORD else "an answer"
        if len(prompts) > 1:
            what = f"{len(prompts)} answers"
        text = f"{hop} asks for {what}"
        if texts:
            text += f"; the server says: {quoted(_joined(texts), _QUOTED_LIMIT)}"
        return text, tuple(prompts)


def change_question(hop: str, notice: str) -> tuple[str, tuple[Prompt, ...]]:
    """Return the question for a new password, which a server demands at a login by password."""
    text = f"{hop} demands a new password"
    if lines := _lines(notice):
        text += f"; the server says: {quoted(_joined(lines), _QUOTED_LIMIT)}"
    asked = ("the old password", "the new password", "the new password again")
    return text, tuple(Prompt.of(f"{hop}, {what}: ") for what in asked)


def _lines(text: str) -> list[str]:
    lines = (line.strip() for line in re.split(r"[\r\n]+", text))
    return [line for line in lines if line][:_MAX_LINES]


def _joined(lines: list[str]) -> str:
    return " / ".join(lines)

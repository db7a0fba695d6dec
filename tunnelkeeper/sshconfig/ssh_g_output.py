"""Reads what `ssh -G` prints: one keyword and its value a line. It runs nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tunnelkeeper.sshconfig.lookup_request import Answer

NONE = "none"
"""How ssh_config(5) says of a path, a command or a jump host that there is none."""

PRINTED_EXPANDED = "userknownhostsfile"
"""Printed after its tokens were expanded (since tokens are known there, OpenSSH 8.4), so a percent
sign in it is one. Other values come with their tokens, or take none."""


def parse_output(text: str) -> Answer:
    """The values of each keyword, in their order; see Answer."""
    answer: dict[str, list[str]] = {}
    for line in text.splitlines():
        keyword, _, value = line.partition(" ")
        if keyword:
            # OpenSSH prints canonicalizePermittedcnames, alone among all, with a capital.
            answer.setdefault(keyword.lower(), []).append(value)
    if PRINTED_EXPANDED in answer:
        answer[PRINTED_EXPANDED] = [escape_percent(value) for value in answer[PRINTED_EXPANDED]]
    return answer


def escape_percent(value: str) -> str:
    """A value that was expanded already, so written that expanding it again changes nothing."""
    return value.replace("%", "%%")


def get_value(answer: Answer, keyword: str) -> str | None:
    """The one value of a keyword; None where there is none, or where it says so."""
    value = answer.get(keyword, [""])[0]
    return None if value.lower() in {"", NONE} else value


def get_values(answer: Answer, keyword: str) -> tuple[str, ...]:
    """The values of a keyword that may come several times, without duplicates and `none`."""
    values = dict.fromkeys(answer.get(keyword, ()))
    return tuple(value for value in values if value.lower() not in {"", NONE})


def get_flag(answer: Answer, keyword: str, *, default: bool) -> bool:
    """A yes or a no; ssh prints some of them as true and false."""
    value = get_value(answer, keyword)
    return default if value is None else value.lower() in {"yes", "true"}


def split_paths(value: str | None) -> tuple[str, ...]:
    """The paths of a list that ssh prints without the quotes it was written with.

    After an absolute path, a word that is none belongs to it: the path had a space in it. Of a
    list that begins with a relative path, each word is one.
    """
    result: list[str] = []
    for word in (value or "").split(" "):
        if result and not word.startswith(("/", "~")) and result[-1].startswith(("/", "~")):
            result[-1] += f" {word}"
        elif word:
            result.append(word)
    return tuple(path for path in dict.fromkeys(result) if path != NONE)

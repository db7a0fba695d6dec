"""Parser of the output of `ssh -G`: one keyword and value per line. It runs no program."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tunnelkeeper.core.token_expansion import escape_percent

if TYPE_CHECKING:
    from tunnelkeeper.sshconfig.lookup_request import Answer

NONE = "none"
"""The value of ssh_config(5) for no path, no command or no jump host."""

NULL_DEVICE = "/dev/null"

PRINTED_EXPANDED = "userknownhostsfile"
"""The one keyword that ssh prints with expanded tokens (since OpenSSH 8.4), so its percent signs
are literal. Other values are printed with their tokens, or accept none."""


def parse_output(text: str) -> Answer:
    """Return the values of each keyword in order, in the form of Answer."""
    answer: dict[str, list[str]] = {}
    for line in text.splitlines():
        keyword, _, value = line.partition(" ")
        if keyword:
            # OpenSSH prints only canonicalizePermittedcnames with a capital letter.
            answer.setdefault(keyword.lower(), []).append(value)
    if PRINTED_EXPANDED in answer:
        answer[PRINTED_EXPANDED] = [escape_percent(value) for value in answer[PRINTED_EXPANDED]]
    return answer


def get_value(answer: Answer, keyword: str) -> str | None:
    """Return the single value of a keyword; None if it is missing or `none`."""
    value = answer.get(keyword, [""])[0]
    return None if value.lower() in {"", NONE} else value


def get_values(answer: Answer, keyword: str) -> tuple[str, ...]:
    """Return the values of a repeatable keyword, without duplicates and `none`."""
    values = dict.fromkeys(answer.get(keyword, ()))
    return tuple(value for value in values if value.lower() not in {"", NONE})


def get_flag(answer: Answer, keyword: str, *, default: bool) -> bool:
    """Return a yes/no value. ssh prints some of them as true and false."""
    value = get_value(answer, keyword)
    return default if value is None else value.lower() in {"yes", "true"}


def keeps_host_keys(answer: Answer) -> bool:
    """Return whether UserKnownHostsFile names a file that keeps accepted host keys."""
    values = answer.get("userknownhostsfile")
    return values is None or any(path != NULL_DEVICE for path in split_paths(values[0]))


def split_paths(value: str | None) -> tuple[str, ...]:
    """Split a list of paths, which ssh prints without its quotes.

    A word that is not absolute belongs to an absolute path before it, whose quotes protected a
    space. If the list starts with a relative path, each word is a path.
    """
    result: list[str] = []
    for word in (value or "").split(" "):
        if result and not word.startswith(("/", "~")) and result[-1].startswith(("/", "~")):
            result[-1] += f" {word}"
        elif word:
            result.append(word)
    return tuple(path for path in dict.fromkeys(result) if path != NONE)

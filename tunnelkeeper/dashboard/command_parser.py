"""The line behind `:`, read into what it means, and how it may go on; pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast, get_args

from tunnelkeeper.core.snapshot import StateName
from tunnelkeeper.dashboard.filter_sort import SORT_KEYS, Filter, SortKey
from tunnelkeeper.presentation.formatting import did_you_mean

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tunnelkeeper.dashboard.model import Model

Verb = Literal["start", "stop", "restart", "retry"]
VERBS: tuple[Verb, ...] = get_args(Verb)
GRACEFUL = "--graceful"
"""Of `restart`, as on the command line."""


@dataclass(frozen=True, slots=True)
class Act:
    """Do something to tunnels; names: None for the chosen or marked ones."""

    verb: Verb
    names: tuple[str, ...] | None
    graceful: bool = False


@dataclass(frozen=True, slots=True)
class SetFilter:
    """Show only these."""

    filter: Filter


@dataclass(frozen=True, slots=True)
class Find:
    """Show only these lines of the log."""

    text: str


@dataclass(frozen=True, slots=True)
class SortBy:
    """Sort by a column."""

    key: SortKey


@dataclass(frozen=True, slots=True)
class ShowLog:
    """Of all tunnels (`all`), of none (`off`), or of the one of this name."""

    of: str


@dataclass(frozen=True, slots=True)
class Go:
    """Choose a tunnel."""

    name: str


@dataclass(frozen=True, slots=True)
class Simple:
    """A command that is a word and nothing else."""

    word: Literal["reload", "help", "quit"]


Command = Act | SetFilter | Find | SortBy | ShowLog | Go | Simple

WORDS = (*VERBS, "filter", "find", "sort", "log", "go", "reload", "help", "quit")


class UnknownCommandError(Exception):
    """What is wrong with a line, in a sentence."""


def parse(line: str, board: Model) -> Command:
    """Read a line without its colon. A command may be cut short where it is the only such one.

    Raises NotACommand.
    """
    word, _, rest = line.strip().partition(" ")
    rest = rest.strip()
    match full_word(word):
        case "restart" if GRACEFUL in (words := rest.split()):
            return Act("restart", _names([w for w in words if w != GRACEFUL], board), graceful=True)
        case "start" | "stop" | "restart" | "retry" as verb:
            return Act(verb, _names(rest.split(), board))
        case "filter":
            return SetFilter(Filter(rest))
        case "find":
            return Find(rest)
        case "sort":
            return SortBy(cast("SortKey", _one_of(rest, SORT_KEYS, "a column")))
        case "log":
            return ShowLog(_one_of(rest or "all", ("all", "off", *board.tunnels), "a tunnel"))
        case "go":
            return Go(_one_of(rest, board.tunnels, "a tunnel"))
        case "reload" | "help" | "quit" as simple:
            return Simple(simple)
    raise UnknownCommandError(f"no command {word!r}{did_you_mean(word, WORDS)}")


def full_word(word: str) -> str:
    """The command that a word begins, where there is only one."""
    begun = [each for each in WORDS if each.startswith(word)] if word else []
    return begun[0] if len(begun) == 1 else word


def completions(line: str, board: Model) -> list[str]:
    """What the last word of a line may become."""
    *before, last = line.split(" ")
    if not before:
        return [word for word in WORDS if word.startswith(last)]
    candidates: Iterable[str] = ()
    match word := full_word(before[0]):
        case "start" | "stop" | "restart" | "retry":
            groups = {group for tunnel in board.tunnels.values() for group in tunnel.groups}
            candidates = ("all", *(f"group={group}" for group in sorted(groups)), *board.tunnels)
            candidates = (GRACEFUL, *candidates) if word == "restart" else candidates
        case "filter":
            candidates = (f"state={state}" for state in get_args(StateName))
        case "sort":
            candidates = SORT_KEYS
        case "log":
            candidates = ("all", "off", *board.tunnels)
        case "go":
            candidates = board.tunnels
    return [each for each in candidates if each.startswith(last) and each not in before]


def certain(line: str, board: Model) -> str:
    """What all completions of a line have in common beyond it; nothing where there are none."""
    words = completions(line, board)
    if not words:
        return ""
    first, last = min(words), max(words)
    typed = len(line.rpartition(" ")[2])
    common = typed
    while common < min(len(first), len(last)) and first[common] == last[common]:
        common += 1
    return first[typed:common]


def _names(words: list[str], board: Model) -> tuple[str, ...] | None:
    if not words:
        return None
    found: dict[str, None] = {}
    for word in words:
        if word == "all":
            found |= dict.fromkeys(board.tunnels)
        elif word.startswith("group="):
            group = word.removeprefix("group=")
            members = [t.name for t in board.tunnels.values() if group in t.groups]
            if not members:
                raise UnknownCommandError(f"no tunnel is in a group {group!r}")
            found |= dict.fromkeys(members)
        else:
            found[_one_of(word, board.tunnels, "a tunnel")] = None
    return tuple(found)


def _one_of(word: str, known: Iterable[str], what: str) -> str:
    known = list(known)
    if word in known:
        return word
    raise UnknownCommandError(f"{word!r} is not {what}{did_you_mean(word, known)}")

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
class ControlTunnels:
    """Do something to tunnels; names: None for the chosen or marked ones."""

    verb: Verb
    names: tuple[str, ...] | None
    graceful: bool = False


@dataclass(frozen=True, slots=True)
class SetFilter:
    """Show only these."""

    filter: Filter


@dataclass(frozen=True, slots=True)
class SearchLog:
    """Show only these lines of the log."""

    text: str


@dataclass(frozen=True, slots=True)
class SortBy:
    """Sort by a column."""

    key: SortKey


@dataclass(frozen=True, slots=True)
class ShowLog:
    """Of all tunnels (`all`), of none (`off`), or of the one of this name."""

    target: str


@dataclass(frozen=True, slots=True)
class SelectTunnel:
    """Choose a tunnel."""

    name: str


@dataclass(frozen=True, slots=True)
class SimpleCommand:
    """A command that is a word and nothing else."""

    name: Literal["reload", "help", "quit"]


Command = ControlTunnels | SetFilter | SearchLog | SortBy | ShowLog | SelectTunnel | SimpleCommand

COMMAND_NAMES = (*VERBS, "filter", "find", "sort", "log", "go", "reload", "help", "quit")


class UnknownCommandError(Exception):
    """What is wrong with a line, in a sentence."""


def parse(line: str, model: Model) -> Command:
    """Read a line without its colon. A command may be cut short where it is the only such one.

    Raises NotACommand.
    """
    word, _, rest = line.strip().partition(" ")
    rest = rest.strip()
    match expand_name(word):
        case "restart" if GRACEFUL in (words := rest.split()):
            return ControlTunnels(
                "restart", _parse_targets([w for w in words if w != GRACEFUL], model), graceful=True
            )
        case "start" | "stop" | "restart" | "retry" as verb:
            return ControlTunnels(verb, _parse_targets(rest.split(), model))
        case "filter":
            return SetFilter(Filter(rest))
        case "find":
            return SearchLog(rest)
        case "sort":
            return SortBy(cast("SortKey", _require_choice(rest, SORT_KEYS, "a column")))
        case "log":
            return ShowLog(
                _require_choice(rest or "all", ("all", "off", *model.tunnels), "a tunnel")
            )
        case "go":
            return SelectTunnel(_require_choice(rest, model.tunnels, "a tunnel"))
        case "reload" | "help" | "quit" as simple:
            return SimpleCommand(simple)
    raise UnknownCommandError(f"no command {word!r}{did_you_mean(word, COMMAND_NAMES)}")


def expand_name(word: str) -> str:
    """The command that a word begins, where there is only one."""
    begun = [each for each in COMMAND_NAMES if each.startswith(word)] if word else []
    return begun[0] if len(begun) == 1 else word


def completions(line: str, model: Model) -> list[str]:
    """What the last word of a line may become."""
    *before, last = line.split(" ")
    if not before:
        return [word for word in COMMAND_NAMES if word.startswith(last)]
    candidates: Iterable[str] = ()
    match word := expand_name(before[0]):
        case "start" | "stop" | "restart" | "retry":
            groups = {group for tunnel in model.tunnels.values() for group in tunnel.groups}
            candidates = ("all", *(f"group={group}" for group in sorted(groups)), *model.tunnels)
            candidates = (GRACEFUL, *candidates) if word == "restart" else candidates
        case "filter":
            candidates = (f"state={state}" for state in get_args(StateName))
        case "sort":
            candidates = SORT_KEYS
        case "log":
            candidates = ("all", "off", *model.tunnels)
        case "go":
            candidates = model.tunnels
    return [each for each in candidates if each.startswith(last) and each not in before]


def common_completion(line: str, model: Model) -> str:
    """What all completions of a line have in common beyond it; nothing where there are none."""
    candidates = completions(line, model)
    if not candidates:
        return ""
    first, last = min(candidates), max(candidates)
    typed = len(line.rpartition(" ")[2])
    common = typed
    while common < min(len(first), len(last)) and first[common] == last[common]:
        common += 1
    return first[typed:common]


def _parse_targets(words: list[str], model: Model) -> tuple[str, ...] | None:
    if not words:
        return None
    names: dict[str, None] = {}
    for word in words:
        if word == "all":
            names |= dict.fromkeys(model.tunnels)
        elif word.startswith("group="):
            group = word.removeprefix("group=")
            members = [t.name for t in model.tunnels.values() if group in t.groups]
            if not members:
                raise UnknownCommandError(f"no tunnel is in a group {group!r}")
            names |= dict.fromkeys(members)
        else:
            names[_require_choice(word, model.tunnels, "a tunnel")] = None
    return tuple(names)


def _require_choice(word: str, choices: Iterable[str], kind: str) -> str:
    choices = list(choices)
    if word in choices:
        return word
    raise UnknownCommandError(f"{word!r} is not {kind}{did_you_mean(word, choices)}")

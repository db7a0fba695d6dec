"""The parser of the command line that `:` opens, and its completion. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, cast, get_args

from tunnelkeeper.core.snapshot import StateName
from tunnelkeeper.dashboard.filter_sort import SORT_KEYS, Filter, SortKey
from tunnelkeeper.dashboard.folding import group_names
from tunnelkeeper.presentation.formatting import nearest

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tunnelkeeper.dashboard.model import Model

TunnelVerb = Literal["start", "stop", "restart", "retry"]
TUNNEL_VERBS: tuple[TunnelVerb, ...] = get_args(TunnelVerb)
GRACEFUL = "--graceful"
"""The option of `restart`, as on the shell's command line."""


@dataclass(frozen=True, slots=True)
class ControlTunnels:
    """Control tunnels. `names` is None for the marked or selected ones."""

    verb: TunnelVerb
    names: tuple[str, ...] | None
    graceful: bool = False


@dataclass(frozen=True, slots=True)
class SetFilter:
    """Show only the tunnels that match."""

    filter: Filter


@dataclass(frozen=True, slots=True)
class SearchLog:
    """Show only the log lines that contain a text."""

    text: str


@dataclass(frozen=True, slots=True)
class SortBy:
    """Sort by a column."""

    key: SortKey


@dataclass(frozen=True, slots=True)
class ShowLog:
    """Show the log of all tunnels (`all`), of none (`off`) or of a named tunnel."""

    target: str


@dataclass(frozen=True, slots=True)
class SelectTunnel:
    """Select a tunnel."""

    name: str


@dataclass(frozen=True, slots=True)
class Fold:
    """Fold or unfold a group. None: every group."""

    group: str | None
    is_folded: bool


@dataclass(frozen=True, slots=True)
class SimpleCommand:
    """A command without arguments."""

    name: SimpleName


SimpleName = Literal["edit", "problems", "reload", "help", "quit"]
Command = (
    ControlTunnels | SetFilter | SearchLog | SortBy | ShowLog | SelectTunnel | Fold | SimpleCommand
)

COMMAND_NAMES = (
    *TUNNEL_VERBS,
    *("filter", "find", "sort", "log", "go", "fold", "unfold"),
    *get_args(SimpleName),
)


class UnknownCommandError(Exception):
    """Raised for a line that is not a valid command."""


def parse(line: str, model: Model) -> Command:
    """Parse a line without its colon. A unique prefix of a command name is enough.

    Raises UnknownCommandError.
    """
    word, _, rest = line.strip().partition(" ")
    rest = rest.strip()
    match expand_name(word):
        case "restart" if GRACEFUL in (arguments := rest.split()):
            targets = [argument for argument in arguments if argument != GRACEFUL]
            return ControlTunnels("restart", _parse_targets(targets, model), graceful=True)
        case "start" | "stop" | "restart" | "retry" as verb:
            return ControlTunnels(verb, _parse_targets(rest.split(), model))
        case "filter":
            return SetFilter(Filter(rest))
        case "find":
            return SearchLog(rest)
        case "sort":
            return SortBy(cast("SortKey", _require_choice(rest, SORT_KEYS, "column")))
        case "log":
            return ShowLog(_require_choice(rest or "all", ("all", "off", *model.tunnels), "tunnel"))
        case "go":
            return SelectTunnel(_require_choice(rest, model.tunnels, "tunnel"))
        case "fold" | "unfold" as folding:
            return Fold(_parse_group(rest, model), folding == "fold")
        case "edit" | "problems" | "reload" | "help" | "quit" as simple:
            return SimpleCommand(simple)
    raise UnknownCommandError(f"no such command {word!r}{_suggestion(word, COMMAND_NAMES)}")


def expand_name(word: str) -> str:
    """Return the command name that a word is a unique prefix of, else the word."""
    matches = [name for name in COMMAND_NAMES if name.startswith(word)] if word else []
    return matches[0] if len(matches) == 1 else word


def completions(line: str, model: Model) -> list[str]:
    """Return the completions of the last word of a line."""
    *before, last = line.split(" ")
    if not before:
        return [word for word in COMMAND_NAMES if word.startswith(last)]
    candidates: Iterable[str] = ()
    match command := expand_name(before[0]):
        case "start" | "stop" | "restart" | "retry":
            groups = {group for tunnel in model.tunnels.values() for group in tunnel.groups}
            candidates = ("all", *(f"group={group}" for group in sorted(groups)), *model.tunnels)
            candidates = (GRACEFUL, *candidates) if command == "restart" else candidates
        case "filter":
            candidates = (f"state={state}" for state in get_args(StateName))
        case "sort":
            candidates = SORT_KEYS
        case "log":
            candidates = ("all", "off", *model.tunnels)
        case "go":
            candidates = model.tunnels
        case "fold" | "unfold":
            candidates = ("all", *group_names(model.tunnels.values()))
    return [word for word in candidates if word.startswith(last) and word not in before]


def common_completion(line: str, model: Model) -> str:
    """Return the text that all completions of a line add to it. Empty without completions."""
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
                raise UnknownCommandError(f"no tunnel is in group {group!r}")
            names |= dict.fromkeys(members)
        else:
            names[_require_choice(word, model.tunnels, "tunnel")] = None
    return tuple(names)


def _parse_group(word: str, model: Model) -> str | None:
    if word in {"", "all"}:
        return None
    return _require_choice(word, group_names(model.tunnels.values()), "group")


def _require_choice(word: str, choices: Iterable[str], kind: str) -> str:
    choices = list(choices)
    if word in choices:
        return word
    raise UnknownCommandError(f"no {kind} is named {word!r}{_suggestion(word, choices)}")


def _suggestion(word: str, known: Iterable[str]) -> str:
    """Return the end of a message of the status bar, which has one line."""
    near = nearest(word, known)
    return f"; did you mean {near!r}?" if near else ""

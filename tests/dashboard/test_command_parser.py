"""The parser of the command line and its completion."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dashboard.sample_model import ALL, make_model
from tunnelkeeper.dashboard.command_parser import (
    Command,
    ControlTunnels,
    SearchLog,
    SelectTunnel,
    SetFilter,
    ShowLog,
    SimpleCommand,
    SortBy,
    UnknownCommandError,
    common_completion,
    completions,
    parse,
)
from tunnelkeeper.dashboard.filter_sort import Filter

MODEL = make_model()
ALL_NAMES = tuple(tunnel.name for tunnel in ALL)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("restart db", ControlTunnels("restart", ("db",))),
        ("stop db away db", ControlTunnels("stop", ("db", "away"))),
        ("start group=work", ControlTunnels("start", ("db", "away"))),
        ("restart --graceful", ControlTunnels("restart", None, graceful=True)),
        ("restart db --graceful", ControlTunnels("restart", ("db",), graceful=True)),
        ("retry all", ControlTunnels("retry", ALL_NAMES)),
        ("restart", ControlTunnels("restart", None)),
        ("filter state=backoff", SetFilter(Filter("state=backoff"))),
        ("filter", SetFilter(Filter(""))),
        ("find refused", SearchLog("refused")),
        ("sort rtt", SortBy("rtt")),
        ("log", ShowLog("all")),
        ("log off", ShowLog("off")),
        ("log db", ShowLog("db")),
        ("go away", SelectTunnel("away")),
        ("rel", SimpleCommand("reload")),
        (" quit ", SimpleCommand("quit")),
    ],
)
def test_a_line_is_parsed(line: str, command: Command) -> None:
    assert parse(line, MODEL) == command


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("restrat db", "no such command 'restrat'; did you mean 'restart'"),
        ("stop sparre", "no tunnel is named 'sparre'; did you mean 'spare'"),
        ("stop group=home", "no tunnel is in group 'home'"),
        ("sort colour", "no column is named 'colour'"),
        ("s", "no such command 's'"),
    ],
)
def test_an_invalid_line_is_refused_with_a_suggestion(line: str, message: str) -> None:
    with pytest.raises(UnknownCommandError, match=message):
        parse(line, MODEL)


@given(st.text(max_size=40))
def test_any_line_is_a_command_or_an_unknown_command(line: str) -> None:
    with suppress(UnknownCommandError):
        parse(line, MODEL)
    assert all(isinstance(word, str) for word in completions(line, MODEL))


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("re", ["restart", "retry", "reload"]),
        ("restart d", ["db", "deep"]),
        ("restart -", ["--graceful"]),
        ("stop -", []),
        ("restart db d", ["deep"]),
        ("stop group=", ["group=night", "group=work"]),
        ("filter state=b", ["state=backoff", "state=blocked"]),
        ("sort r", ["rtt", "restarts"]),
        ("log o", ["off"]),
        ("go st", ["stuck"]),
        ("help ", []),
    ],
)
def test_the_last_word_is_completed(line: str, expected: list[str]) -> None:
    assert completions(line, MODEL) == expected


@pytest.mark.parametrize(
    ("line", "expected"),
    [("resta", "rt"), ("r", "e"), ("restart aw", "ay"), ("stop d", ""), ("x", ""), ("", "")],
)
def test_the_common_completion_is_the_shared_prefix_of_all(line: str, expected: str) -> None:
    assert common_completion(line, MODEL) == expected

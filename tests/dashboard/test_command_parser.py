"""The line behind `:`."""

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
def test_a_line_is_read(line: str, command: Command) -> None:
    assert parse(line, MODEL) == command


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("restrat db", "no command 'restrat'; did you mean 'restart'"),
        ("stop sparre", "no tunnel is named 'sparre'; did you mean 'spare'"),
        ("stop group=nobody", "no tunnel is in group 'nobody'"),
        ("sort colour", "no column is named 'colour'"),
        ("s", "no command 's'"),
    ],
)
def test_what_is_no_command_is_told_with_a_suggestion(line: str, complaint: str) -> None:
    with pytest.raises(UnknownCommandError, match=complaint):
        parse(line, MODEL)


@given(st.text(max_size=40))
def test_no_line_is_worse_than_no_command(line: str) -> None:
    with suppress(UnknownCommandError):
        parse(line, MODEL)
    assert all(isinstance(word, str) for word in completions(line, MODEL))


@pytest.mark.parametrize(
    ("line", "words"),
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
def test_a_line_is_completed(line: str, words: list[str]) -> None:
    assert completions(line, MODEL) == words


@pytest.mark.parametrize(
    ("line", "more"),
    [("resta", "rt"), ("r", "e"), ("restart aw", "ay"), ("stop d", ""), ("x", ""), ("", "")],
)
def test_what_is_certain_is_what_all_completions_share(line: str, more: str) -> None:
    assert common_completion(line, MODEL) == more

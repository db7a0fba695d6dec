"""The line behind `:`."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.dashboard.boards import ALL, a_board
from tunnelkeeper.dashboard.command_parser import (
    Act,
    Command,
    Find,
    Go,
    SetFilter,
    ShowLog,
    Simple,
    SortBy,
    UnknownCommandError,
    certain,
    completions,
    parse,
)
from tunnelkeeper.dashboard.filter_sort import Filter

BOARD = a_board()
EVERY = tuple(tunnel.name for tunnel in ALL)


@pytest.mark.parametrize(
    ("line", "command"),
    [
        ("restart db", Act("restart", ("db",))),
        ("stop db away db", Act("stop", ("db", "away"))),
        ("start group=work", Act("start", ("db", "away"))),
        ("restart --graceful", Act("restart", None, graceful=True)),
        ("restart db --graceful", Act("restart", ("db",), graceful=True)),
        ("retry all", Act("retry", EVERY)),
        ("restart", Act("restart", None)),
        ("filter state=backoff", SetFilter(Filter("state=backoff"))),
        ("filter", SetFilter(Filter(""))),
        ("find refused", Find("refused")),
        ("sort rtt", SortBy("rtt")),
        ("log", ShowLog("all")),
        ("log off", ShowLog("off")),
        ("log db", ShowLog("db")),
        ("go away", Go("away")),
        ("rel", Simple("reload")),
        (" quit ", Simple("quit")),
    ],
)
def test_a_line_is_read(line: str, command: Command) -> None:
    assert parse(line, BOARD) == command


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("restrat db", "no command 'restrat'; did you mean 'restart'"),
        ("stop sparre", "'sparre' is not a tunnel; did you mean 'spare'"),
        ("stop group=nobody", "no tunnel is in a group 'nobody'"),
        ("sort colour", "'colour' is not a column"),
        ("s", "no command 's'"),
    ],
)
def test_what_is_no_command_is_told_with_a_suggestion(line: str, complaint: str) -> None:
    with pytest.raises(UnknownCommandError, match=complaint):
        parse(line, BOARD)


@given(st.text(max_size=40))
def test_no_line_is_worse_than_no_command(line: str) -> None:
    with suppress(UnknownCommandError):
        parse(line, BOARD)
    assert all(isinstance(word, str) for word in completions(line, BOARD))


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
    assert completions(line, BOARD) == words


@pytest.mark.parametrize(
    ("line", "more"),
    [("resta", "rt"), ("r", "e"), ("restart aw", "ay"), ("stop d", ""), ("x", ""), ("", "")],
)
def test_what_is_certain_is_what_all_completions_share(line: str, more: str) -> None:
    assert certain(line, BOARD) == more

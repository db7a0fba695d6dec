"""Tests for finding ssh commands in shell text and behind wrappers."""

from __future__ import annotations

import shlex
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.importing.find_ssh_commands import (
    find_in_pasted_words,
    find_in_shell_text,
    find_ssh_commands,
)
from tunnelkeeper.importing.sh_parser import parse_simple_commands
from tunnelkeeper.importing.source_commands import UnreadableError

VARIABLES = {"HOST": "relay", "OPTS": "-N  -T", "A": "1"}

# -- the shell -------------------------------------------------------------------------------------


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"]), min_size=1), min_size=1))
def test_quoted_words_are_parsed_back(words: list[str]) -> None:
    [command] = parse_simple_commands(shlex.join(["run", *words]), {})

    assert command.words == ("run", *words)


@given(st.text(st.sampled_from("ab $`{}()<>|&;'\"\\#\n2~*=")))
def test_any_text_is_parsed_or_refused(text: str) -> None:
    with suppress(UnreadableError):
        for command in parse_simple_commands(text, VARIABLES):
            assert command.words


@pytest.mark.parametrize(
    ("text", "commands"),
    [
        ("a 'b c' \"d $HOST\" e\\ f", [["a", "b c", "d relay", "e f"]]),
        ("a $OPTS ${HOST}x '$HOST' \\$HOST", [["a", "-N", "-T", "relayx", "$HOST", "$HOST"]]),
        ("a && b || c; d & e | f\ng", [["a"], ["b"], ["c"], ["d"], ["e"], ["f"], ["g"]]),
        ("a >/dev/null 2>&1 <in &>>all b >&2", [["a", "b"]]),
        ("a 2 > b", [["a", "2"]]),
        ("while true; do a b; sleep 5; done", [["true"], ["a", "b"], ["sleep", "5"]]),
        ("if a; then b; else c; fi", [["a"], ["b"], ["c"]]),
        ("( a; { b; } )", [["a"], ["b"]]),
        ("a # b\n# c\nd#e", [["a"], ["d#e"]]),
        ("a \\\n b", [["a", "b"]]),
        ("X=1 Y='2 3' a $A", [["a", "1"]]),
        ("export H=box; A=2; a $H $A", [["a", "box", "2"]]),
        ("a '' \"\"", [["a", "", ""]]),
        ("a *:1 $ $/", [["a", "*:1", "$", "$/"]]),
    ],
)
def test_simple_commands_match_what_a_shell_would_run(text: str, commands: list[list[str]]) -> None:
    parsed = parse_simple_commands(text, VARIABLES)

    assert [list(command.words) for command in parsed] == commands
    assert not any(command.reason for command in parsed)


@pytest.mark.parametrize(
    "text", ["ssh $(hostname)", "ssh `hostname`", "ssh $UNKNOWN", "ssh ${A:-b}", "ssh a <<END"]
)
def test_text_that_needs_a_shell_is_refused(text: str) -> None:
    with pytest.raises(UnreadableError):
        find_in_shell_text(text, VARIABLES)


def test_unreadable_commands_without_ssh_are_ignored() -> None:
    [command] = find_in_shell_text("sleep $(cat delay); ssh -N a", {})

    assert command.arguments == ("-N", "a")


# -- wrappers of ssh -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "account"),
    [
        ("/usr/bin/autossh -N a", None),
        ("exec autossh -N a", None),
        ("exec -a tunnel autossh -N a", None),
        ("env -i A=1 nohup setsid autossh -N a", None),
        ("env -u B autossh -N a", None),
        ("nice -n 5 ionice -c 3 autossh -N a", None),
        ("sudo -n -u tunnel -- autossh -N a", "tunnel"),
        ("sudo -Hutunnel autossh -N a", "tunnel"),
        ("sudo --user=tunnel autossh -N a", "tunnel"),
        ("sudo --user tunnel autossh -N a", "tunnel"),
        ("runuser -u tunnel -- autossh -N a", "tunnel"),
        ("runuser - tunnel -c 'autossh -N a'", "tunnel"),
        ("su - tunnel -c 'autossh -N a'", "tunnel"),
        ("su -s /bin/sh -c 'exec autossh -N a' tunnel", "tunnel"),
        ("su -c 'autossh -N a'", "root"),
        ("bash -lc 'while :; do autossh -N a; done'", None),
        ("tunnelkeeper-autossh -N a", None),
    ],
)
def test_the_command_is_found_behind_its_wrapper(text: str, account: str | None) -> None:
    [command] = find_ssh_commands(shlex.split(text), {})

    assert (command.program, command.arguments, command.account) == (
        "autossh",
        ("-N", "a"),
        account,
    )


def test_leading_assignments_apply_to_the_command() -> None:
    [command] = find_in_shell_text("AUTOSSH_POLL=5 env AUTOSSH_PORT=0 autossh a", {"X": "1"})

    assert command.environment == {"X": "1", "AUTOSSH_POLL": "5", "AUTOSSH_PORT": "0"}


@pytest.mark.parametrize(
    "text", ["sleep 5", "sh script", "pgrep ssh", "command -v ssh", "", "su -"]
)
def test_commands_without_ssh_give_no_result(text: str) -> None:
    assert find_ssh_commands(shlex.split(text), {}) == []


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "sshpass -p hunter2 ssh a",
            "sshpass types a password. Let the server accept a key",
        ),
        ("sudo /usr/bin/sshpass -phunter2 autossh -M 0 a", "sshpass types a password"),
        ("expect hunter2 ssh a", "expect types a password"),
        ("proxychains4 -q hunter2 ssh a", "proxychains4 changes how it connects"),
        ("screen -dmS hunter2 autossh -M 0 a", "screen runs it in a terminal of its own"),
        ("wrapper hunter2 ssh a", "what wrapper does for the tunnel is not known"),
    ],
)
def test_an_unsupported_wrapper_is_refused_without_quoting_its_arguments(
    text: str, reason: str
) -> None:
    with pytest.raises(UnreadableError, match=reason) as raised:
        find_ssh_commands(shlex.split(text), {})

    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    "words",
    [
        ["-N", "a"],
        ["ssh", "-N", "a"],
        ["/usr/bin/ssh", "-N", "a"],
        ["A=1", "ssh", "-N", "a"],
        ["ssh -N a"],
        ["A=1 ssh -N 'a' &"],
    ],
)
def test_a_line_may_be_pasted_with_or_without_its_program(words: list[str]) -> None:
    [command] = find_in_pasted_words("ssh", words, {})

    assert (command.program, command.arguments) == ("ssh", ("-N", "a"))


def test_the_nesting_of_wrappers_is_limited() -> None:
    assert find_ssh_commands(["env"] * 50 + ["ssh", "a"], {}) == []

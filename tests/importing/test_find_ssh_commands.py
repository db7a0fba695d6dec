"""What a line of a shell, or a program around ssh, comes down to."""

from __future__ import annotations

import shlex
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.importing.find_ssh_commands import commands_of_words, in_shell, ssh_commands
from tunnelkeeper.importing.sh_parser import simple_commands
from tunnelkeeper.importing.source_commands import UnreadableError

VARIABLES = {"HOST": "relay", "OPTS": "-N  -T", "A": "1"}

# -- the shell -------------------------------------------------------------------------------------


@given(st.lists(st.text(st.characters(blacklist_categories=["Cs"]), min_size=1), min_size=1))
def test_quoted_words_are_read_back(words: list[str]) -> None:
    [found] = simple_commands(shlex.join(["run", *words]), {})

    assert found.words == ("run", *words)


@given(st.text(st.sampled_from("ab $`{}()<>|&;'\"\\#\n2~*=")))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(UnreadableError):
        for each in simple_commands(text, VARIABLES):
            assert each.words


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
def test_commands_are_those_that_a_shell_would_run(text: str, commands: list[list[str]]) -> None:
    found = simple_commands(text, VARIABLES)

    assert [list(each.words) for each in found] == commands
    assert not any(each.why_not for each in found)


@pytest.mark.parametrize(
    "text", ["ssh $(hostname)", "ssh `hostname`", "ssh $UNKNOWN", "ssh ${A:-b}", "ssh a <<END"]
)
def test_what_only_a_shell_can_find_out_is_refused(text: str) -> None:
    with pytest.raises(UnreadableError):
        in_shell(text, VARIABLES)


def test_what_it_does_besides_may_be_anything() -> None:
    [found] = in_shell("sleep $(cat delay); ssh -N a", {})

    assert found.arguments == ("-N", "a")


# -- what runs ssh ---------------------------------------------------------------------------------


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
def test_the_line_is_found_behind_what_runs_it(text: str, account: str | None) -> None:
    [found] = ssh_commands(shlex.split(text), {})

    assert (found.program, found.arguments, found.account) == ("autossh", ("-N", "a"), account)


def test_variables_in_front_are_the_line_s_own() -> None:
    [found] = in_shell("AUTOSSH_POLL=5 env AUTOSSH_PORT=0 autossh a", {"X": "1"})

    assert found.environment == {"X": "1", "AUTOSSH_POLL": "5", "AUTOSSH_PORT": "0"}


@pytest.mark.parametrize(
    "text", ["sleep 5", "sh script", "pgrep ssh", "command -v ssh", "", "su -"]
)
def test_what_has_nothing_to_do_with_ssh_is_nothing(text: str) -> None:
    assert ssh_commands(shlex.split(text), {}) == []


def test_a_program_that_nobody_knows_is_not_guessed_and_its_words_not_told() -> None:
    with pytest.raises(UnreadableError, match=r"^sshpass runs it") as refusal:
        ssh_commands(["sshpass", "-p", "hunter2", "ssh", "a"], {})

    assert "hunter2" not in str(refusal.value)


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
def test_a_line_may_be_pasted_with_its_program_or_without(words: list[str]) -> None:
    [found] = commands_of_words("ssh", words, {})

    assert (found.program, found.arguments) == ("ssh", ("-N", "a"))


def test_wrappers_in_wrappers_come_to_an_end() -> None:
    assert ssh_commands(["env"] * 50 + ["ssh", "a"], {}) == []

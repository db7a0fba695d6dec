"""The settings of logins, from the config file and from ssh_config."""

from __future__ import annotations

from typing import Any

import pytest

from tunnelkeeper.core.configuration import Host, HostOptions
from tunnelkeeper.core.ssh_values import AgentAddition, ValueFormatError, parse_agent_addition
from tunnelkeeper.sshconfig.login_settings import login_settings
from tunnelkeeper.sshconfig.lookup_request import SshConfigError
from tunnelkeeper.sshconfig.ssh_g_output import parse_output

DEFAULTS = """\
batchmode no
pubkeyauthentication true
passwordauthentication yes
kbdinteractiveauthentication yes
updatehostkeys true
numberofpasswordprompts 3
addkeystoagent false
"""
"""What ssh prints for a host that no file mentions."""


def settings(text: str = "", **options: Any) -> dict[str, Any]:
    """Return the settings for changed lines of ssh's output, and options of the config file."""
    answer = {**parse_output(DEFAULTS), **parse_output(text)}
    return login_settings("db", HostOptions(**options), answer, parse_output(DEFAULTS))


def host(text: str = "", **options: Any) -> Host:
    return Host("db", "db", "ann", **settings(text, **options))


def test_the_defaults_are_those_of_ssh() -> None:
    assert host() == Host("db", "db", "ann", update_host_keys=True)


def test_without_an_answer_of_ssh_the_defaults_hold_too() -> None:
    assert Host("db", "db", "ann", **login_settings("db", HostOptions(), {}, {})) == Host(
        "db", "db", "ann"
    )


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("batchmode yes", "batch_mode", True),
        ("numberofpasswordprompts 0", "number_of_password_prompts", 0),
        (
            "preferredauthentications password, publickey",
            "preferred_authentications",
            ("password", "publickey"),
        ),
        ("pubkeyauthentication false", "pubkey_authentication", False),
        ("pubkeyauthentication unbound", "pubkey_authentication", True),
        ("pubkeyauthentication host-bound", "pubkey_authentication", True),
        ("passwordauthentication no", "password_authentication", False),
        ("kbdinteractiveauthentication no", "kbd_interactive_authentication", False),
        ("addkeystoagent ask", "add_keys_to_agent", "ask"),
        ("addkeystoagent 28800", "add_keys_to_agent_lifetime", 28800.0),
        ("updatehostkeys ask", "update_host_keys", "ask"),
        ("updatehostkeys false", "update_host_keys", False),
    ],
)
def test_ssh_config_sets_a_value(text: str, key: str, value: object) -> None:
    assert getattr(host(text), key) == value


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("batch_mode", False),
        ("number_of_password_prompts", 1),
        ("preferred_authentications", ("password",)),
        ("pubkey_authentication", True),
        ("password_authentication", True),
        ("kbd_interactive_authentication", True),
        ("update_host_keys", True),
        ("passphrase_command", ("pass", "show", "%f")),
        ("password_command", ("pass", "show", "%r@%h")),
    ],
)
def test_the_config_file_has_precedence(key: str, value: object) -> None:
    others = (
        "batchmode yes\nnumberofpasswordprompts 9\npubkeyauthentication no\nupdatehostkeys no\n"
        "preferredauthentications hostbased,publickey,password\n"
    )
    if key != "preferred_authentications":
        others += "passwordauthentication no\n"
        others = others.replace("pubkeyauthentication no\n", "")
    assert settings(others, **{key: value})[key] == value


def test_keys_are_added_to_the_agent_as_the_config_file_says() -> None:
    confirmed = host("addkeystoagent ask", add_keys_to_agent=("confirm", "8h"))
    assert confirmed.add_keys_to_agent == "confirm"
    assert confirmed.add_keys_to_agent_lifetime == 8 * 3600


def test_other_files_of_known_hosts_are_not_updated_unless_asked_for() -> None:
    """The program ssh sees its own default files, and so prints yes."""
    assert host(known_hosts=("/k",)).update_host_keys is False
    assert host("updatehostkeys ask", known_hosts=("/k",)).update_host_keys == "ask"
    assert host(known_hosts=("/k",), update_host_keys=True).update_host_keys is True


@pytest.mark.parametrize(
    ("key", "word", "is_accepted"),
    [
        ("passphrase_command", "%f %h %n %p %r %k %%", True),
        ("password_command", "%h %n %p %r %k %%", True),
        ("password_command", "%f", False),
        ("passphrase_command", "%z", False),
        ("password_command", "100%", False),
    ],
)
def test_the_tokens_of_a_command_are_checked(key: str, word: str, is_accepted: bool) -> None:
    command: Any = ("%z", word)  # the program itself has no tokens
    if is_accepted:
        assert settings(**{key: command})[key] == command
        return
    with pytest.raises(SshConfigError, match=key) as error:
        settings(**{key: command})
    assert "%h" in error.value.hint


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ((), AgentAddition()),
        (("false",), AgentAddition()),
        (("Yes",), AgentAddition("yes")),
        (("true",), AgentAddition("yes")),
        (("ask",), AgentAddition("ask")),
        (("confirm",), AgentAddition("confirm")),
        (("confirm", "8h"), AgentAddition("confirm", 28800)),
        (("1h30m",), AgentAddition("yes", 5400)),
        (("90",), AgentAddition("yes", 90)),
    ],
)
def test_agent_additions_are_read_as_ssh_reads_them(
    words: tuple[str, ...], expected: AgentAddition
) -> None:
    assert parse_agent_addition(words) == expected


@pytest.mark.parametrize(
    "words", [("never",), ("yes", "8h"), ("confirm", "soon"), ("confirm", "1h", "2h"), ("ask", "1")]
)
def test_other_agent_additions_are_refused(words: tuple[str, ...]) -> None:
    with pytest.raises(ValueFormatError, match="expected"):
        parse_agent_addition(words)

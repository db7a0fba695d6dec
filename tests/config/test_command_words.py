from __future__ import annotations

import tomllib

import pytest

from tunnelkeeper.config import parse
from tunnelkeeper.config.command_words import WordsError, read_tunnel
from tunnelkeeper.config.schema import TUNNEL_KEYS
from tunnelkeeper.config.toml_values import format_table


def table(*words: str, host: str = "relay", **specs: list[str]) -> dict[str, object]:
    return read_tunnel(host, specs, words)


def problems(*words: str, host: str = "relay", **specs: list[str]) -> list[str]:
    with pytest.raises(WordsError) as raised:
        read_tunnel(host, specs, words)
    return [str(problem) for problem in raised.value.problems]


def test_specs_are_those_of_ssh_and_keep_their_text() -> None:
    assert table(
        local=["5432:db:5432", "*:80:web:http"], remote=["1081"], socks=["[::1]:1080"]
    ) == {
        "host": "relay",
        "local": ["5432:db:5432", "*:80:web:http"],
        "remote": ["1081"],
        "socks": ["[::1]:1080"],
    }


@pytest.mark.parametrize(
    ("word", "value"),
    [
        ("port=22", 22),
        ("port=[22, 443]", [22, 443]),
        ("user=me", "me"),
        ("user=1000", "1000"),
        ('user="me"', "me"),
        ("tag=true", "true"),
        ("tag=2026-11-29", "2026-11-29"),
        ("identities_only=true", True),
        ("identities_only=yes", True),
        ("compression=NO", False),
        ("keepalive_interval=15s", "15s"),
        ("hold_timeout=0.5", 0.5),
        ("jump=a,me@b:2200", "a,me@b:2200"),
        ('jump=["a", "b"]', ["a", "b"]),
        ("identity_files=~/.ssh/id", "~/.ssh/id"),
        ("on_up=logger -t x up", "logger -t x up"),
        ('on_up=["logger", "up"]', ["logger", "up"]),
        ('backoff={ max = "10s" }', {"max": "10s"}),
        ("proxy_command=ssh -W %h:%p a # b", "ssh -W %h:%p a # b"),
        ("local=[::1]:80:web:80", "[::1]:80:web:80"),
        ('socks={ listen = 1, check = "tcp://a:1" }', {"listen": 1, "check": "tcp://a:1"}),
    ],
)
def test_a_value_is_toml_or_a_text_without_quotes(word: str, value: object) -> None:
    assert table(word)[word.partition("=")[0]] == value


def test_a_key_below_backoff_has_a_dot() -> None:
    assert table("backoff.max=10s", "backoff.initial=2")["backoff"] == {"max": "10s", "initial": 2}


def test_a_repeated_key_makes_a_list_and_specs_come_first() -> None:
    found = table("identity_files=a", "identity_files=b", "local=2:b:2", local=["1:a:1"])

    assert found["identity_files"] == ["a", "b"]
    assert found["local"] == ["1:a:1", "2:b:2"]


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("prot=22", "unknown key\n  hint: did you mean 'port'?"),
        ("IdentityFile=x", "unknown key\n  hint: it is called 'identity_files' here"),
        ("check=tcp", "belongs to one forward"),
        ("backoff.maximum=1", "unknown key\n  hint: did you mean 'max'?"),
        ("user.name=x", "unknown key"),
        ("port=abc", "expected a port from 1 to 65535, got 'abc'"),
        ("port=99999", "expected a port from 1 to 65535, got 99999"),
        ("user=", "expected a string, got an empty one"),
        ("x", "expected KEY=VALUE"),
        ("=x", "expected KEY=VALUE"),
        ("host=x", "the host is an argument of its own"),
        ("identity_files=[a,b]", "not TOML\n  hint: quote the word for the shell"),
        ("identity_files=a\nuser = 'x'", "one line without control characters"),
        ("on_up=\udcff", "not UTF-8"),
        ("local=1:a:1\udcff", "not UTF-8"),
        ("backoff={ maxi = 1 }", "unknown key\n  hint: did you mean 'max'?"),
        ("port=" + "9" * 5000, "expected a port"),
        ("port=" + "[" * 5000, "expected a port"),
    ],
)
def test_a_bad_word_is_named_with_the_reason(word: str, message: str) -> None:
    [problem] = problems(word)

    assert message in problem
    assert len(problem) < 500


@pytest.mark.parametrize("word", ["user", "on_up", "password_command", "backoff"])
def test_a_key_without_a_list_is_refused_twice(word: str) -> None:
    value = "{ max = 1 }" if word == "backoff" else "x"

    assert f"{word} is given twice" in problems(f"{word}={value}", f"{word}={value}")[0]


def test_all_problems_are_reported_together() -> None:
    assert problems("prot=1", host="a b", local=["5432"], remote=["x"], socks=["1:a:1"]) == [
        "a b: expected [user@]host[:port], got 'a b'",
        (
            "-L 5432: expected [bind_address:]port:host:hostport, got '5432'"
            "\n  hint: to reach port 5432 of the server itself, write `-L 5432:localhost:5432`"
        ),
        "-R x: expected a port from 1 to 65535, got 'x' in 'x'",
        "-D 1:a:1: expected [bind_address:]port, got '1:a:1'",
        "prot=1: unknown key\n  hint: did you mean 'port'?",
    ]
    assert "expected a host" in problems(host="port=22")[0]


SAMPLES = {
    "host_key_policy": "accept-new",
    "address_family": "inet",
    "permit_remote_open": "localhost:22",
    "rekey_limit": "1G 1h",
    "ip_qos": "af21 cs1",
    "channel_timeout": "session=5m",
    "stream_local_bind_mask": "0177",
    "required_rsa_size": "2048",
    "preferred_authentications": "password",
    "backoff": '{ max = "10s" }',
    "local": "1:a:1",
}


def sample(key: str) -> str:
    """Return a word for a key that the loader accepts."""
    candidates = (SAMPLES.get(key, "5"), "true", "x")
    for value in candidates:
        try:
            table(f"{key}={value}")
        except WordsError:
            continue
        return f"{key}={value}"
    raise AssertionError(key)


@pytest.mark.parametrize("key", sorted(set(TUNNEL_KEYS) - {"host"}))
def test_every_key_of_a_tunnel_can_be_given_and_the_loader_accepts_the_table(key: str) -> None:
    text = format_table("tunnels", "t", table(sample(key)))

    assert key in tomllib.loads(text)["tunnels"]["t"]
    parse(text, "")

from __future__ import annotations

import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.config import parse
from tunnelkeeper.core.forward_spec import (
    Forward,
    LocalForward,
    RemoteForward,
    RemoteSocksForward,
    SocksForward,
    TcpAddress,
    UnixAddress,
    kind_of,
)
from tunnelkeeper.core.tunnel_names import MAX_NAME_LENGTH, make_name, make_unique
from tunnelkeeper.importing.source_commands import ImportedTunnel
from tunnelkeeper.importing.toml_text import format_comment, format_forward, format_tunnel

ANYTHING = st.text() | st.text(
    st.sampled_from("\n\r\t #[]\"'\\=\x00\x1b\x7f\u2028\u202e\x85tunnels.x")
)

# -- comments --------------------------------------------------------------------------------------


@given(ANYTHING)
def test_no_text_ends_its_comment(text: str) -> None:
    written = format_comment(text)

    assert written.endswith("\n")
    assert all(line.startswith("#") and line.isprintable() for line in written.splitlines())
    assert written.splitlines() == written[:-1].split("\n")
    assert tomllib.loads(written) == {}


@given(ANYTHING, st.lists(ANYTHING, max_size=3))
def test_comments_do_not_change_the_table(origin: str, notes: list[str]) -> None:
    tunnel = ImportedTunnel("t", origin, {"host": "h", "socks": ["1080"]}, tuple(notes))

    assert tomllib.loads(format_tunnel(tunnel)) == {
        "tunnels": {"t": {"host": "h", "socks": ["1080"]}}
    }


def test_a_long_comment_is_wrapped_at_spaces() -> None:
    assert format_comment("word " * 30).splitlines()[1].startswith("#   word")


# -- forwards --------------------------------------------------------------------------------------

HOSTS = st.sampled_from(["localhost", "127.0.0.1", "::1", "*", "db.internal", "10.0.0.1"])
PATHS = st.sampled_from(["/run/a.sock", "/run/a:b.sock", "/run/a b", "./a", "/x]y", "/a\\b"])
TARGETS = st.builds(TcpAddress, HOSTS.filter(lambda host: host != "*"), st.integers(1, 65535))
LISTENS = st.builds(TcpAddress, HOSTS, st.integers(1, 65535))
UNIX = st.builds(UnixAddress, PATHS.filter(lambda path: "]" not in path))
FORWARDS: st.SearchStrategy[Forward] = st.one_of(
    st.builds(LocalForward, LISTENS | UNIX, TARGETS | UNIX),
    st.builds(RemoteForward, LISTENS | UNIX, TARGETS | UNIX),
    st.builds(SocksForward, LISTENS | UNIX),
    st.builds(RemoteSocksForward, LISTENS),
)


@given(FORWARDS)
def test_a_formatted_forward_is_parsed_back(forward: Forward) -> None:
    table = {"host": "h", kind_of(forward): [format_forward(forward)]}

    configuration = parse(format_tunnel(ImportedTunnel("t", "here", table)), "")

    assert configuration.tunnels["t"].forwards == (forward,)


def test_the_percent_signs_of_a_path_are_escaped() -> None:
    forward = LocalForward(UnixAddress("/run/100%"), TcpAddress("fe80::1%lo", 81))

    assert format_forward(forward) == "/run/100%%:[fe80::1%lo]:81"


def test_a_loopback_listen_address_is_omitted() -> None:
    forward = LocalForward(TcpAddress("localhost", 80), TcpAddress("localhost", 81))

    assert format_forward(forward) == "80:localhost:81"


# -- names -----------------------------------------------------------------------------------------

ONE: list[Forward] = [SocksForward(TcpAddress("localhost", 1080))]


@pytest.mark.parametrize(
    ("preferred", "host", "forwards", "expected"),
    [
        ("", "relay", ONE, "relay-1080"),
        ("", "relay.example.com", ONE * 2, "relay"),
        ("", "203.0.113.7", [], "203.0.113.7"),
        ("", "fe80::1%eth0", [], "fe80-1-eth0"),
        ("autossh", "relay", ONE, "relay-1080"),
        ("autossh-db", "relay", ONE, "db"),
        ("db-autossh", "relay", ONE, "db"),
        ("ssh-tunnel", "relay", ONE, "relay-1080"),
        ("my tunnel!", "relay", ONE, "my-tunnel"),
        ("-.-", "relay", [SocksForward(UnixAddress("/a"))], "relay"),
    ],
)
def test_the_name_comes_from_the_source_or_the_host(
    preferred: str, host: str, forwards: list[Forward], expected: str
) -> None:
    assert make_name(preferred, host, forwards) == expected


@given(st.text(), st.text(min_size=1))
def test_every_name_is_valid_and_unique(preferred: str, host: str) -> None:
    name = make_name(preferred, host, ONE)
    taken = {name, make_unique(name, {name})}
    new = make_unique(name, taken)

    assert new not in taken
    assert len(new) <= MAX_NAME_LENGTH
    assert parse(format_tunnel(ImportedTunnel(new, "", {"host": "h", "socks": ["1"]})), "").tunnels

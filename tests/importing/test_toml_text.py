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
from tunnelkeeper.importing.source_commands import ImportedTunnel
from tunnelkeeper.importing.toml_text import comment, spec_of, toml_of
from tunnelkeeper.importing.tunnel_names import LONGEST, name_for, unused

ANYTHING = st.text() | st.text(
    st.sampled_from("\n\r\t #[]\"'\\=\x00\x1b\x7f\u2028\u202e\x85tunnels.x")
)

# -- comments --------------------------------------------------------------------------------------


@given(ANYTHING)
def test_nothing_in_a_comment_ends_it(text: str) -> None:
    written = comment(text)

    assert written.endswith("\n")
    assert all(line.startswith("#") and line.isprintable() for line in written.splitlines())
    assert written.splitlines() == written[:-1].split("\n")
    assert tomllib.loads(written) == {}


@given(ANYTHING, st.lists(ANYTHING, max_size=3))
def test_a_table_is_what_it_was_whatever_its_comments_say(origin: str, remarks: list[str]) -> None:
    tunnel = ImportedTunnel("t", origin, {"host": "h", "socks": ["1080"]}, tuple(remarks))

    assert tomllib.loads(toml_of(tunnel)) == {"tunnels": {"t": {"host": "h", "socks": ["1080"]}}}


def test_a_comment_is_broken_at_spaces() -> None:
    assert comment("word " * 30).splitlines()[1].startswith("#   word")


# -- forwards --------------------------------------------------------------------------------------

HOSTS = st.sampled_from(["localhost", "127.0.0.1", "::1", "*", "db.internal", "10.0.0.1"])
PATHS = st.sampled_from(["/run/a.sock", "/run/a:b.sock", "/run/a b", "./a", "/x]y"])
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
def test_a_forward_is_read_back_as_it_was(forward: Forward) -> None:
    table = {"host": "h", kind_of(forward): [spec_of(forward)]}

    configuration = parse(toml_of(ImportedTunnel("t", "here", table)), "")

    assert configuration.tunnels["t"].forwards == (forward,)


def test_the_loopback_is_not_written() -> None:
    forward = LocalForward(TcpAddress("localhost", 80), TcpAddress("localhost", 81))

    assert spec_of(forward) == "80:localhost:81"


# -- names -----------------------------------------------------------------------------------------

ONE: list[Forward] = [SocksForward(TcpAddress("localhost", 1080))]


@pytest.mark.parametrize(
    ("called", "host", "forwards", "expected"),
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
def test_a_name_says_what_it_is(
    called: str, host: str, forwards: list[Forward], expected: str
) -> None:
    assert name_for(called, host, forwards) == expected


@given(st.text(), st.text(min_size=1))
def test_every_name_is_valid_and_new(called: str, host: str) -> None:
    name = name_for(called, host, ONE)
    taken = {name, unused(name, {name})}
    new = unused(name, taken)

    assert new not in taken
    assert len(new) <= LONGEST
    assert parse(toml_of(ImportedTunnel(new, "", {"host": "h", "socks": ["1"]})), "").tunnels

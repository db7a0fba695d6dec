"""The probes of health checks: their syntax, requests and responses."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.forward_spec import (
    Forward,
    LocalForward,
    RemoteForward,
    RemoteSocksForward,
    SocksForward,
    TcpAddress,
)
from tunnelkeeper.core.probes import (
    HttpProbe,
    NotHttpError,
    Probe,
    ProbeError,
    TcpProbe,
    is_success,
    parse_probe,
    parse_status,
    target_of_probe,
)

LISTEN, WEB = TcpAddress("localhost", 8080), TcpAddress("web", 80)
LOCAL, SOCKS = LocalForward(LISTEN, WEB), SocksForward(LISTEN)
REMOTE, REMOTE_SOCKS = RemoteForward(LISTEN, WEB), RemoteSocksForward(LISTEN)
FORWARDS: list[Forward] = [LOCAL, SOCKS, REMOTE, REMOTE_SOCKS]


@pytest.mark.parametrize(
    ("text", "forward", "probe"),
    [
        ("tcp", LOCAL, TcpProbe()),
        ("tcp", REMOTE, TcpProbe()),
        ("tcp", REMOTE_SOCKS, TcpProbe()),
        ("tcp://web:81", SOCKS, TcpProbe(TcpAddress("web", 81))),
        ("tcp://[::1]:81", SOCKS, TcpProbe(TcpAddress("::1", 81))),
        ("http://intranet/health", LOCAL, HttpProbe("intranet", "/health")),
        ("HTTP://intranet", REMOTE, HttpProbe("intranet", "/")),
        ("http://intranet:8080/a/b?c=d", LOCAL, HttpProbe("intranet:8080", "/a/b?c=d")),
        ("http://intranet?c=d/e", LOCAL, HttpProbe("intranet", "/?c=d/e")),
        ("http://web/", SOCKS, HttpProbe("web", "/", WEB)),
        ("http://[::1]:81/", SOCKS, HttpProbe("[::1]:81", "/", TcpAddress("::1", 81))),
        ("http://[::1]/", SOCKS, HttpProbe("[::1]", "/", TcpAddress("::1", 80))),
    ],
)
def test_a_probe_is_tcp_or_a_url(text: str, forward: Forward, probe: Probe) -> None:
    assert parse_probe(text, forward) == probe


@pytest.mark.parametrize(
    ("text", "forward", "message"),
    [
        ("udp", LOCAL, "expected tcp or http://host/path, got 'udp'"),
        ("ftp://web/", LOCAL, "expected tcp or http://host/path, got 'ftp://web/'"),
        ("http:web", LOCAL, "expected tcp or http://host/path"),
        ("https://web/", LOCAL, "https is not supported: write http://host/path, or tcp"),
        ("tcp", SOCKS, "a SOCKS proxy has no target of its own: write tcp://host:port"),
        ("tcp://web:80", LOCAL, 'write "tcp": the forward itself has a target'),
        ("tcp://web", SOCKS, "expected host:port after the slashes, got 'tcp://web'"),
        ("tcp://web:0", SOCKS, "expected host:port after the slashes"),
        ("tcp:///run/a.sock", SOCKS, "expected host:port after the slashes"),
        ("http:///health", LOCAL, "expected host:port after the slashes"),
        ("http://web:99999/", LOCAL, "expected host:port after the slashes"),
        ("http://me:secret@web/", LOCAL, "a user or a password cannot stand in the URL"),
        ("http://web/#top", LOCAL, "no server is sent what follows a '#'"),
        ("http://web/a b", LOCAL, "a URL is ASCII without spaces"),
        ("http://web/\r\nX-Evil: 1", LOCAL, "a URL is ASCII without spaces"),
        ("http://web/\N{SNOWMAN}", LOCAL, "a URL is ASCII without spaces"),
        ("http://web/", REMOTE_SOCKS, 'takes "tcp" only'),
    ],
)
def test_the_error_of_an_invalid_probe_states_what_was_expected(
    text: str, forward: Forward, message: str
) -> None:
    with pytest.raises(ProbeError, match=message.replace("?", r"\?")):
        parse_probe(text, forward)


@given(text=st.text() | st.text().map("http://{}".format), forward=st.sampled_from(FORWARDS))
def test_any_text_is_a_probe_with_a_wellformed_request_or_a_probe_error(
    text: str, forward: Forward
) -> None:
    try:
        probe = parse_probe(text, forward)
    except ProbeError:
        return
    if isinstance(probe, HttpProbe):
        lines = probe.request.decode("ascii").split("\r\n")
        assert len(lines) == 7
        assert lines[0].startswith("GET /")
        assert lines[0].count(" ") == 2
        assert lines[5:] == ["", ""]
        assert not any(c in line for line in lines for c in "\r\n")
    if isinstance(forward, SocksForward):
        assert isinstance(target_of_probe(probe, None), TcpAddress)


def test_a_probe_without_a_target_uses_that_of_the_forward() -> None:
    assert target_of_probe(TcpProbe(), WEB) == WEB
    assert target_of_probe(TcpProbe(LISTEN), WEB) == LISTEN


def test_a_printed_probe_reads_back() -> None:
    written = ["tcp", "http://intranet/health?a=b", "http://[::1]:81/"]

    assert [str(parse_probe(text, LOCAL)) for text in written] == written
    assert str(parse_probe("tcp://[::1]:81", SOCKS)) == "tcp://[::1]:81"


@pytest.mark.parametrize(
    ("response", "status"),
    [
        (b"HTTP/1.1 200 OK\r\n", 200),
        (b"HTTP/1.0 404 Not Found\r\n", 404),
        (b"HTTP/1.1 204\r\n\r\n", 204),
        (b"HTTP/1.1 503\nServer: odd", 503),
    ],
)
def test_the_status_is_parsed_as_soon_as_it_is_complete(response: bytes, status: int) -> None:
    assert parse_status(response) == status
    assert [parse_status(response[:length]) for length in range(13)] == [None] * 13


@pytest.mark.parametrize(
    "response",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"\x15\x03\x01\x00\x02\x02\x46",
        b"HTTP/2.0 200 OK\r\n",
        b"HTTP/1.1 20x OK\r\n",
        b"HTTP/1.1 2000 OK\r\n",
        b"HTTP/1.1  200 OK\r\n",
        b"<html>",
    ],
)
def test_a_response_that_is_not_http_is_rejected(response: bytes) -> None:
    with pytest.raises(NotHttpError):
        parse_status(response)


@given(st.binary() | st.binary().map(b"HTTP/1.1 ".__add__))
def test_any_bytes_are_a_status_or_incomplete_or_not_http(response: bytes) -> None:
    try:
        status = parse_status(response)
    except NotHttpError:
        return
    assert status is None or 0 <= status <= 999
    assert status is not None or len(response) < 13


def test_status_2xx_and_3xx_are_success() -> None:
    successful = [
        status for status in (100, 199, 200, 204, 301, 399, 400, 401, 500) if is_success(status)
    ]

    assert successful == [200, 204, 301, 399]

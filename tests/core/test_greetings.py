from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.core.failures import Cause, Failure
from tunnelkeeper.core.greetings import SHOWN_LIMIT, explain, identify

LOST = Failure(Cause.LOST, "the connection was closed", "me@relay:22", "try later")

ANSWERS = [
    (b"HTTP/1.1 400 Bad Request\r\nServer: nginx\r\n", "an HTTP server"),
    (b"HTTP/1.0 302 Found\nLocation: http://portal.example/login\n", "an HTTP server"),
    (b"\r\n<!DOCTYPE html><title>Log in", "an HTTP server"),
    (b"<html>\n", "an HTTP server"),
    (b"\x15\x03\x01\x00\x02\x02\x46", "a TLS server"),
    (b"\x15\x03\x03\x00\x02\x02\x0a", "a TLS server"),
    (b"\x16\x03\x03\x00\x7a\x02", "a TLS server"),
    (b"\x05\xff", "a SOCKS proxy"),
    (b"\x00\x5b\x00\x00\x00\x00\x00\x00", "a SOCKS proxy"),
    (b"220 mail.example.com ESMTP Postfix\r\n", "an SMTP server"),
    (b"554 mail.example.com ESMTP not accepting messages\r\n", "an SMTP server"),
    (b"220 (vsFTPd 3.0.3)\r\n", "an FTP server"),
    (b"220-Welcome\r\n220 ready\r\n", "a mail or FTP server"),
    (b"421 Too many connections\r\n", "a mail or FTP server"),
    (b"+OK POP3 ready\r\n", "a POP3 server"),
    (b"* OK [CAPABILITY IMAP4rev1] ready\r\n", "an IMAP server"),
    (b"-ERR unknown command\r\n", "a Redis server"),
    (b"\xff\xfd\x18\xff\xfd\x20", "a Telnet server"),
    (b"RFB 003.008\n", "a VNC server"),
    (b"@RSYNCD: 31.0\n", "an rsync server"),
    (b"AMQP\x00\x00\x09\x01", "an AMQP server"),
    (b"\x4a\x00\x00\x00\x0a8.0.36\x00", "a MySQL server"),
    (b"\x03\x00\x00\x13\x0e\xd0", "a remote desktop server"),
    (b"SSH-1.5-OpenSSH_1.2.3\n", "a server of an old SSH version"),
    (b"welcome\r\nSSH-1.5-old\r\n", "a server of an old SSH version"),
]


@pytest.mark.parametrize(("data", "server"), ANSWERS)
def test_a_server_of_another_protocol_is_named(data: bytes, server: str) -> None:
    failure = explain(LOST, data)

    assert failure.cause is Cause.PROTOCOL
    assert failure.message.startswith(f"{server} answered: '")
    assert failure.hop == LOST.hop
    assert failure.hint not in {"", LOST.hint}


def test_the_first_line_with_a_text_is_shown() -> None:
    assert explain(LOST, b"\r\n\r\nHTTP").message.endswith("'HTTP'")
    assert explain(LOST, b"HTTP/1.1 400 Bad Request\r\nServer: x").message == (
        "an HTTP server answered: 'HTTP/1.1 400 Bad Request'"
    )


@pytest.mark.parametrize(
    "text",
    [
        b"Exceeded MaxStartups\r\n",
        b"Not allowed at this time\r\n",
        "Zugang geschützt\n".encode("latin-1"),
        b"SSH-2.0-a-line-that-never-ends",
        b"SSH-1.99-unfinished",
    ],
)
def test_a_text_that_is_not_recognized_changes_no_cause(text: bytes) -> None:
    failure = explain(LOST, text)

    assert (failure.cause, failure.hint) == (Cause.LOST, LOST.hint)
    assert failure.message.startswith("the connection was closed; received before that: '")
    assert identify(text) is None


@pytest.mark.parametrize("data", [b"\x00\x01\x02", b"\x7fELF", b"a\x1b[2J"])
def test_binary_data_is_not_ssh(data: bytes) -> None:
    failure = explain(LOST, data)

    assert (failure.cause, failure.hint) == (Cause.PROTOCOL, "is the port right?")
    assert failure.message.startswith("the server sent data that is not SSH: '")


def test_the_output_of_a_proxy_command_keeps_its_cause() -> None:
    ended = Failure(Cause.PROXY, "the proxy command ended", "hop")

    assert explain(ended, b"\x00denied").message == (
        r"the proxy command ended; received before that: '\x00denied'"
    )
    assert explain(ended, b"\x00denied").cause is Cause.PROXY
    assert explain(ended, b"HTTP/1.1 403 Forbidden\r\n").cause is Cause.PROTOCOL


@pytest.mark.parametrize("data", [b"", b"\n", b" \r\n\t"])
def test_no_answer_changes_nothing(data: bytes) -> None:
    assert explain(LOST, data) is LOST


@given(st.binary(min_size=1, max_size=2000))
def test_any_answer_is_shown_on_one_short_line(data: bytes) -> None:
    failure = explain(LOST, data)

    assert failure.message.isprintable()
    assert len(failure.message) < SHOWN_LIMIT + 80

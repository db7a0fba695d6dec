from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Address, IPv6Address

import pytest

from tests.forwarding.socks_client import (
    GREETING,
    INCOMPLETE,
    LONGEST_REQUEST,
    SELECTED,
    Result,
    play,
    socks4,
    socks4a,
    socks5,
    socks5_name,
)
from tunnelkeeper.core.connect_error import Reason
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.forwarding.socks import REPLIES, Handshake, Reply, encode_reply

REJECTED4 = b"\x00\x5b" + bytes(6)
GENERAL_FAILURE5 = b"\x05\x01\x00\x01" + bytes(6)
COMMAND_NOT_SUPPORTED5 = b"\x05\x07\x00\x01" + bytes(6)
ADDRESS_TYPE_NOT_SUPPORTED5 = b"\x05\x08\x00\x01" + bytes(6)


def play_socks5(request: bytes) -> Result:
    """Play a request after a greeting. Return the result without the reply to the greeting."""
    result = play(GREETING, request)
    assert result.reply.startswith(SELECTED)
    return replace(result, reply=result.reply.removeprefix(SELECTED))


# --- SOCKS4 and 4a ---


def test_socks4_names_its_target_by_address() -> None:
    assert play(socks4("192.0.2.7", 5432, user=b"me")) == Result(
        b"", TcpAddress("192.0.2.7", 5432), None, b""
    )


def test_socks4a_names_its_target_after_the_user_id() -> None:
    assert play(socks4a(b"db.internal", 5432, user=b"me")).request == TcpAddress(
        "db.internal", 5432
    )


def test_0_0_0_0_is_an_address_and_not_socks4a() -> None:
    assert play(socks4("0.0.0.0", 80) + b"data") == Result(
        b"", TcpAddress("0.0.0.0", 80), None, b"data"
    )


def test_a_socks4_user_id_may_be_any_bytes() -> None:
    assert play(socks4(user=b"\xff\x01 x")).request == TcpAddress("192.0.2.1", 80)


@pytest.mark.parametrize("command", [0, 2, 3, 255])
def test_socks4_serves_no_command_but_connect(command: int) -> None:
    result = play(socks4(command=command))

    assert result.reply == REJECTED4
    assert result.rejection is not None
    assert f"got {command}" in result.rejection


def test_socks4_fields_may_be_255_bytes_long() -> None:
    request = socks4a(b"n" * 255, user=b"u" * 255)

    assert len(request) == LONGEST_REQUEST
    assert play(request).request == TcpAddress("n" * 255, 80)


@pytest.mark.parametrize(
    ("request_bytes", "field_name"),
    [(socks4(user=b"u" * 256), "user id"), (socks4a(b"n" * 256), "target name")],
)
def test_a_socks4_field_beyond_255_bytes_is_rejected_before_its_end(
    request_bytes: bytes, field_name: str
) -> None:
    result = play(request_bytes[:-1])

    assert result == play(request_bytes)
    assert result.reply == REJECTED4
    assert result.rejection == f"SOCKS4: expected a {field_name} of at most 255 bytes, got more"


# --- SOCKS5 ---


def test_socks5_selects_no_authentication_before_it_reads_the_request() -> None:
    assert play(GREETING) == Result(SELECTED, None, None, b"")


def test_no_authentication_is_found_among_other_methods() -> None:
    assert play(b"\x05\x03\x02\x01\x00").reply == SELECTED


@pytest.mark.parametrize(
    ("greeting", "found"), [(b"\x05\x02\x01\x02", "got 1, 2"), (b"\x05\x00", "got none")]
)
def test_a_client_that_requires_authentication_gets_no_acceptable_method(
    greeting: bytes, found: str
) -> None:
    result = play(greeting)

    assert result.reply == b"\x05\xff"
    assert result.rejection is not None
    assert result.rejection.endswith(found)


@pytest.mark.parametrize(
    ("request_bytes", "host"),
    [
        (socks5(1, IPv4Address("192.0.2.7").packed), "192.0.2.7"),
        (socks5(4, IPv6Address("2001:db8::7").packed), "2001:db8::7"),
        (socks5(4, IPv6Address("::ffff:192.0.2.7").packed), "::ffff:192.0.2.7"),
        (socks5_name(b"db.internal"), "db.internal"),
        (socks5_name(b"192.0.2.7"), "192.0.2.7"),
        (socks5_name(b"[2001:db8::7]"), "[2001:db8::7]"),
        (socks5_name("bücher.example".encode()), "bücher.example"),
        (socks5_name(b"n" * 255), "n" * 255),
    ],
)
def test_socks5_keeps_the_target_as_the_client_wrote_it(request_bytes: bytes, host: str) -> None:
    assert play_socks5(request_bytes) == Result(b"", TcpAddress(host, 80), None, b"")


def test_greeting_and_request_may_come_in_one_piece() -> None:
    result = play(GREETING + socks5_name(b"web") + b"GET / HTTP/1.1\r\n")

    assert result == Result(SELECTED, TcpAddress("web", 80), None, b"GET / HTTP/1.1\r\n")


@pytest.mark.parametrize("command", [2, 3])
def test_bind_and_udp_associate_are_not_supported(command: int) -> None:
    result = play_socks5(socks5(1, bytes(4), command=command))

    assert result.reply == COMMAND_NOT_SUPPORTED5
    assert result.rejection is not None
    assert "BIND and UDP are not served" in result.rejection


def test_a_request_is_read_to_its_end_before_it_is_rejected() -> None:
    assert play_socks5(socks5(1, bytes(4), command=2)[:-1]) == INCOMPLETE


def test_an_unknown_address_type_is_not_supported() -> None:
    result = play_socks5(socks5(2, b"abc"))

    assert result.reply == ADDRESS_TYPE_NOT_SUPPORTED5
    assert result.rejection == "SOCKS5: expected an address type of 1, 3 or 4, got 2"


def test_a_request_of_another_version_than_its_greeting_is_rejected() -> None:
    result = play_socks5(socks4())

    assert result.reply == GENERAL_FAILURE5
    assert result.rejection == "SOCKS5: expected version 5 in the request, got 4"


# --- targets that cannot be valid ---


@pytest.mark.parametrize(
    "name",
    [
        b"",
        b"two words",
        b"tab\there",
        b"bell\x07",
        b"line\nbreak",
        b"\xff\xfe",
        "a\u202eb".encode(),
    ],
)
def test_an_invalid_name_is_rejected_and_shown_escaped(name: bytes) -> None:
    by_version5, by_version4 = play_socks5(socks5_name(name)), play(socks4a(name))

    assert by_version5.reply == GENERAL_FAILURE5
    assert by_version4.reply == REJECTED4
    for result in by_version5, by_version4:
        assert result.request is None
        assert result.rejection is not None
        assert result.rejection.isprintable()


def test_a_nul_in_a_socks5_name_is_rejected() -> None:
    assert play_socks5(socks5_name(b"good.example\0evil")).reply == GENERAL_FAILURE5


def test_port_0_is_rejected() -> None:
    assert play_socks5(socks5(1, bytes(4), port=0)).reply == GENERAL_FAILURE5
    assert play(socks4(port=0)).reply == REJECTED4


# --- clients that do not speak SOCKS ---


@pytest.mark.parametrize(
    ("opening", "protocol"),
    [
        (b"GET / HTTP/1.1\r\n", "HTTP"),
        (b"CONNECT db.internal:443 HTTP/1.1\r\n", "HTTP"),
        (b"\x16\x03\x01\x02\x00", "TLS"),
    ],
)
def test_the_rejection_names_a_known_other_protocol(opening: bytes, protocol: str) -> None:
    result = play(opening)

    assert result.reply == b""
    assert result.rejection is not None
    assert f"the client speaks {protocol}" in result.rejection


def test_any_other_first_byte_is_rejected() -> None:
    expected = "expected SOCKS version 4 or 5 in the first byte, got "

    assert play(b"SSH-2.0-x\r\n").rejection == expected + "0x53"
    assert play(b"GETAWAY").rejection == expected + "0x47"
    assert play(b"\x00").rejection == expected + "0x00"


def test_an_incomplete_http_method_waits_for_more_data() -> None:
    assert play(b"P") == play(b"CONNECT") == INCOMPLETE


def test_data_after_a_rejection_is_ignored() -> None:
    assert play(b"\x00", GREETING, socks5_name(b"web")) == play(b"\x00")


# --- replies ---


def requested() -> tuple[Handshake, Handshake]:
    """Return a SOCKS4 and a SOCKS5 handshake whose requests wait for a reply."""
    version4, version5 = Handshake(), Handshake()
    version4.receive(socks4())
    version5.receive(GREETING + socks5_name(b"web"))
    return version4, version5


@pytest.mark.parametrize(
    ("reason", "rep"),
    [
        (Reason.FAILED, 0x01),
        (Reason.RESOURCE_SHORTAGE, 0x01),
        (Reason.NOT_PERMITTED, 0x02),
        (Reason.NETWORK_UNREACHABLE, 0x03),
        (Reason.HOST_UNREACHABLE, 0x04),
        (Reason.REFUSED, 0x05),
        (Reason.TIMED_OUT, 0x06),
    ],
)
def test_each_reason_has_its_reply_in_each_version(reason: Reason, rep: int) -> None:
    version4, version5 = requested()

    assert version4.reject(reason) == bytes([0, 0x5B, 0, 0, 0, 0, 0, 0])
    assert version5.reject(reason) == bytes([5, rep, 0, 1, 0, 0, 0, 0, 0, 0])


def test_every_reason_has_a_reply() -> None:
    assert set(REPLIES) == set(Reason)


def test_a_granted_request_has_its_reply_in_each_version() -> None:
    version4, version5 = requested()

    assert version4.grant() == bytes([0, 0x5A, 0, 0, 0, 0, 0, 0])
    assert version5.grant() == bytes([5, 0x00, 0, 1, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize(
    ("reply", "rep"),
    [(Reply.COMMAND_NOT_SUPPORTED, 0x07), (Reply.ADDRESS_TYPE_NOT_SUPPORTED, 0x08)],
)
def test_a_request_that_is_not_supported_has_its_reply_in_each_version(
    reply: Reply, rep: int
) -> None:
    assert encode_reply(4, reply) == bytes([0, 0x5B, 0, 0, 0, 0, 0, 0])
    assert encode_reply(5, reply) == bytes([5, rep, 0, 1, 0, 0, 0, 0, 0, 0])


@pytest.mark.parametrize("received", [b"", GREETING, b"\x00"])
def test_there_is_no_reply_without_a_request(received: bytes) -> None:
    handshake = Handshake()
    handshake.receive(received)

    with pytest.raises(RuntimeError, match="expected a request to reply to"):
        handshake.grant()
    with pytest.raises(RuntimeError, match="expected a request to reply to"):
        handshake.reject(Reason.FAILED)

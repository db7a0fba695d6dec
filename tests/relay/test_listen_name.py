"""Which listen hosts are names, and which are bound."""

import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.relay.listen_name import listen_name


@pytest.mark.parametrize(
    ("host", "name"),
    [
        ("home", "home"),
        ("Home", "home"),
        ("box-7", "box-7"),
        ("7eleven", "7eleven"),
        ("a", "a"),
        ("a" * 63, "a" * 63),
        ("my_box", "my_box"),
        ("0xylophone", "0xylophone"),
        ("xn--bcher-kva", "xn--bcher-kva"),
    ],
)
def test_a_single_label_is_a_name(host: str, name: str) -> None:
    assert listen_name(host) == name


@pytest.mark.parametrize(
    "host",
    [
        "",
        "*",
        "localhost",
        "LocalHost",
        "ip6-localhost",
        "ip6-loopback",
        "127.0.0.1",
        "0.0.0.0",
        "::1",
        "::",
        "::ffff:127.0.0.1",
        "fe80::1%eth0",
        "2130706433",
        "0177",
        "0x7f000001",
        "0X7F000001",
        "0x",
        "db.example.com",
        "home.",
        "-home",
        "home-",
        "_gateway",
        "home\n",
        "ho me",
        "hö",
        "\N{KELVIN SIGN}iosk",
        "a" * 64,
        "/run/x.sock",
        "\0",
    ],
)
def test_anything_else_is_not(host: str) -> None:
    assert listen_name(host) is None


@given(st.text())
def test_any_text_is_a_name_that_stays_itself_or_none(host: str) -> None:
    name = listen_name(host)

    assert name is None or listen_name(name) == name


@given(st.from_regex(r"[0-9a-fA-FxX.]{1,12}", fullmatch=True))
def test_what_a_resolver_takes_for_an_address_is_no_name(host: str) -> None:
    try:
        socket.inet_aton(host)
    except OSError:
        return
    assert listen_name(host) is None

from __future__ import annotations

import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.requirements import require
from tunnelkeeper.importing.source_commands import UnreadableError
from tunnelkeeper.importing.specifiers import (
    UnitName,
    expand_specifiers,
    make_unit_specifiers,
    unescape,
)


def test_a_double_percent_sign_is_a_literal_one() -> None:
    assert expand_specifiers("%%i 100%% %i", {"i": "x"}) == "%i 100% x"


@pytest.mark.parametrize("text", ["%q", "ends with %", "%\n"])
def test_an_unknown_specifier_is_refused(text: str) -> None:
    with pytest.raises(UnreadableError):
        expand_specifiers(text, {"i": "x"})


@given(st.text(), st.text())
def test_the_value_of_a_specifier_is_not_expanded_again(before: str, value: str) -> None:
    assert expand_specifiers(before.replace("%", "%%") + "%i", {"i": value}) == before + value


@given(st.text())
def test_unescape_reverses_the_escaping_of_unit_names(text: str) -> None:
    escaped = "".join(c if c.isascii() and c.isalnum() else _escape(c) for c in text)

    assert unescape(escaped) == text.encode(errors="surrogateescape").decode(
        errors="surrogateescape"
    )


def _escape(character: str) -> str:
    if character == "/":
        return "-"
    octets = character.encode(errors="surrogateescape")
    return "".join(f"\\x{octet:02x}" for octet in octets)


def test_unescape_reverses_systemd_escape() -> None:
    text = "srv/a-b c\u00e9\\x/!"
    escaped = subprocess.run(
        [require("systemd-escape"), text], check=True, capture_output=True, text=True
    ).stdout.rstrip("\n")

    assert unescape(escaped) == text


def test_a_unit_name_provides_its_specifiers() -> None:
    name = UnitName(r"auto-ssh@srv-db\x2d1.service")

    assert make_unit_specifiers(name, "/etc/systemd/system/auto-ssh@.service") == {
        "n": r"auto-ssh@srv-db\x2d1.service",
        "N": r"auto-ssh@srv-db\x2d1",
        "p": "auto-ssh",
        "P": "auto/ssh",
        "i": r"srv-db\x2d1",
        "I": "srv/db-1",
        "j": "ssh",
        "J": "ssh",
        "f": "/srv/db-1",
        "y": "/etc/systemd/system/auto-ssh@.service",
        "Y": "/etc/systemd/system",
    }
    assert (name.template, name.is_template) == ("auto-ssh@.service", False)
    assert UnitName("a@.service").is_template

"""Whole authorized_keys files: their keys, and a warning for each skipped line."""

import base64
import subprocess
from datetime import UTC
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.relay.authorized_keys_lines import blob, encoded, line, rsa_blob, ssh_string
from tunnelkeeper.relay.authorized_keys import (
    KEY_TYPES,
    AuthorizedKey,
    KeyOptions,
    PublicKeyError,
    parse,
    parse_blob,
)
from tunnelkeeper.relay.permits import HostPermit

PATH = "authorized_keys"


def keys_for(text: str) -> list[AuthorizedKey]:
    keys, warnings = parse(text, PATH, UTC)

    assert warnings == ()
    return list(keys)


def only_warning_of(text: str) -> str:
    keys, warnings = parse(text, PATH, UTC)

    assert keys == ()
    assert len(warnings) == 1
    return warnings[0]


def test_a_key_without_options_has_no_restrictions() -> None:
    assert keys_for(line(comment="box in the attic")) == [
        AuthorizedKey(PATH, 1, "ssh-ed25519", blob(), "box in the attic", KeyOptions())
    ]


def test_comments_and_blank_lines_count_as_lines_only() -> None:
    text = f"# one\n\n  \t\n   # four\r\n\t{line()}\r\n"

    assert [(key.number, key.comment) for key in keys_for(text)] == [(5, "")]


def test_any_run_of_blanks_and_tabs_separates_fields() -> None:
    text = f" restrict \t ssh-ed25519\t\t{encoded(blob())} \t a  comment "

    assert keys_for(text) == [
        AuthorizedKey(
            PATH, 1, "ssh-ed25519", blob(), "a  comment", KeyOptions(port_forwarding=False)
        )
    ]


def test_blanks_and_quotes_inside_a_quoted_option_belong_to_it() -> None:
    (key,) = keys_for(line(r'command="echo \"ssh-rsa AAAA\" # x",permitopen="a:1"'))

    assert key.options.command == 'echo "ssh-rsa AAAA" # x'
    assert key.options.permit_open == (HostPermit("a", 1),)


def test_a_hash_inside_a_line_does_not_start_a_comment() -> None:
    assert keys_for(line('command="#1"', comment="#2"))[0].comment == "#2"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("ssh-ed25519", "expected a key in base64 after 'ssh-ed25519'; the line ends there"),
        ("restrict", "expected a key type such as ssh-ed25519 after the options, got nothing"),
        ("restrict ssh-dss AAAA", "such as ssh-ed25519 after the options, got 'ssh-dss'"),
        (f"restrict, pty {line()}", "after the options, got 'pty'"),
        ("ssh-ed25519 ????", "expected a key in base64, got '????'"),
        (f"ssh-rsa {encoded(blob())}", "is 'ssh-rsa', but the key itself is 'ssh-ed25519'"),
        (f"ssh-rsa {encoded(rsa_blob(512))}", "1024 bits or more, got 512"),
        (f'command="x {line()}', "a quote in the options is not closed"),
        # The backslash escapes the closing quote, as in sshd.
        (rf'command="x\" {line()}', "a quote in the options is not closed"),
        (line("frobnicate"), "unknown option 'frobnicate'"),
        (line("verify-required"), "verify-required cannot be checked here"),
        (line('expiry-time="2030"'), "expiry-time= needs YYYYMMDD"),
        ("restrict \x1b[2J AAAA", r"after the options, got '\x1b[2J'"),
    ],
)
def test_a_line_that_cannot_be_used_is_skipped_with_a_warning(text: str, reason: str) -> None:
    warning = only_warning_of("\n" + text)

    assert warning.startswith(f"{PATH}:2: ")
    assert reason in warning
    assert warning.isprintable()


def test_a_bad_line_does_not_stop_the_others() -> None:
    keys, warnings = parse("\n".join([line(seed=1), "junk", line(seed=2)]), PATH, UTC)

    assert [key.number for key in keys] == [1, 3]
    assert len(warnings) == 1


def test_the_first_of_duplicate_keys_counts() -> None:
    keys, warnings = parse(f"{line('restrict')}\n{line()}\n{line('pty')}", PATH, UTC)

    assert [(key.number, key.options.port_forwarding) for key in keys] == [(1, False)]
    assert warnings == (
        f"{PATH}:2: this key is already in line 1; the first line counts",
        f"{PATH}:3: this key is already in line 1; the first line counts",
    )


def test_a_later_line_never_grants_what_the_first_line_of_a_key_refuses() -> None:
    keys, warnings = parse(f"{line('verify-required')}\n{line()}", PATH, UTC)

    assert keys == ()
    assert len(warnings) == 2


def test_a_key_can_be_both_an_authority_and_a_user_key() -> None:
    keys = keys_for(f"{line('cert-authority')}\n{line()}")

    assert [key.options.cert_authority for key in keys] == [True, False]


def test_a_path_with_control_characters_is_escaped_in_warnings() -> None:
    _, (warning,) = parse("junk", "a\nb", UTC)

    assert warning.startswith(r"a\nb:1: ")


@given(
    st.text(alphabet=st.sampled_from('ssh-ed25519 restrict=",\\\t\n#')) | st.text(),
    st.text(alphabet=st.sampled_from('a=",\\ \t')),
)
def test_any_text_gives_at_most_one_key_or_warning_per_line(text: str, before: str) -> None:
    text = f"{text}\n{before}{line()}\n{text}"
    keys, warnings = parse(text, PATH, UTC)

    assert len(keys) + len(warnings) <= text.count("\n") + 1
    assert all(warning.isprintable() for warning in warnings)


@given(st.binary())
def test_arbitrary_bytes_can_be_parsed(data: bytes) -> None:
    parse(data.decode("utf-8", "surrogateescape"), PATH, UTC)


# -- public keys: type, form and size --------------------------------------------------------------


@pytest.mark.parametrize(
    "options", [["ed25519"], ["ecdsa", "-b", "256"], ["ecdsa", "-b", "521"], ["rsa", "-b", "1024"]]
)
def test_a_key_of_ssh_keygen_is_read(options: list[str], tmp_path: Path) -> None:
    private = tmp_path / "key"
    subprocess.run(
        ["ssh-keygen", "-q", "-N", "", "-f", str(private), "-t", *options], check=True, timeout=60
    )
    algorithm, key, _ = (tmp_path / "key.pub").read_text().split(" ", 2)

    assert parse_blob(algorithm, key) == base64.b64decode(key)


@pytest.mark.parametrize(
    ("algorithm", "data", "reason"),
    [
        ("ssh-ed25519", b"", "truncated"),
        ("ssh-ed25519", b"\0\0\0", "truncated"),
        ("ssh-ed25519", blob()[:-1], "truncated"),
        ("ssh-ed25519", blob() + b"\0", "truncated"),
        ("ssh-ed25519", blob() + ssh_string(b""), "malformed for type"),
        ("ssh-ed25519", ssh_string(b"ssh-ed25519"), "malformed for type"),
        ("ssh-rsa", blob(), "is 'ssh-rsa', but the key itself is 'ssh-ed25519'"),
        ("ssh-ed25519", ssh_string(b"\x1b[2J"), r"the key itself is '\\x1b\[2J'"),
        ("ssh-rsa", rsa_blob(768), "1024 bits or more, got 768"),
    ],
)
def test_a_malformed_key_is_refused(algorithm: str, data: bytes, reason: str) -> None:
    with pytest.raises(PublicKeyError, match=reason):
        parse_blob(algorithm, encoded(data))


@pytest.mark.parametrize("text", ["", "AAAA!", "AAAA====", "ä", "\x1b"])
def test_text_that_is_not_base64_is_refused(text: str) -> None:
    with pytest.raises(PublicKeyError) as error_info:
        parse_blob("ssh-ed25519", text)

    assert str(error_info.value).isprintable()


@given(st.sampled_from(sorted(KEY_TYPES)), st.text() | st.binary().map(encoded))
def test_any_text_is_a_key_or_an_error(algorithm: str, text: str) -> None:
    try:
        key = parse_blob(algorithm, text)
    except PublicKeyError:
        return
    assert encoded(key) == text

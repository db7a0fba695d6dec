from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.systemd.quoting import Specifiers, UnquotableError, quote_command, quote_word

WRITABLE = st.text(st.characters(blacklist_categories=["Cs", "Cc"]) | st.just("\t"))
AWKWARD = st.text(st.sampled_from("%$\\\"';: -{}\t\nax4" + string.printable))


def read_back(line: str) -> list[str]:
    """Words as systemd reads them from a line: extract_first_word() with quotes and C escapes.

    Written from systemd.syntax(7) and systemd.service(5); tests/e2e asks systemd itself.
    """
    words: list[str] = []
    rest = line.removeprefix(":")
    while rest := rest.lstrip(" \t"):
        text, quote = "", ""
        while rest and (quote or rest[0] not in " \t"):
            one, rest = rest[0], rest[1:]
            if one == "\\":
                one, rest = {"t": "\t"}.get(rest[0], rest[0]), rest[1:]
                text += one
            elif one == quote:
                quote = ""
            elif not quote and one in "\"'":
                quote = one
            else:
                text += one
        words.append(text.replace("%%", "%"))
    return words


def needs_refusal(text: str) -> bool:
    return any((each < " " and each != "\t") or each == "\x7f" for each in text)


@given(st.lists(WRITABLE | AWKWARD))
def test_every_word_is_read_back_as_it_was_or_refused(words: list[str]) -> None:
    if any(map(needs_refusal, words)):
        with pytest.raises(UnquotableError):
            quote_command(["/bin/true", *words])
    else:
        assert read_back(quote_command(["/bin/true", *words])) == ["/bin/true", *words]


@given(st.lists(AWKWARD | WRITABLE))
def test_a_command_is_one_line_without_a_separator_or_an_open_end(words: list[str]) -> None:
    try:
        line = quote_command(["/bin/true", *words])
    except UnquotableError:
        return

    assert line.isprintable() or not line.isascii()
    assert " ; " not in f" {line} " or '"' in line
    assert not line.endswith("\\")
    assert line.startswith(":") == ("$" in line)


def test_what_is_plain_stays_readable() -> None:
    assert quote_command(["/usr/bin/tunnelkeeper", "--config", "/etc/tk.toml", "up"]) == (
        "/usr/bin/tunnelkeeper --config /etc/tk.toml up"
    )


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a b", '"a b"'),
        ("", '""'),
        (";", '";"'),
        ("50%", "50%%"),
        ('say "hi"', '"say \\"hi\\""'),
        ("back\\slash", '"back\\\\slash"'),
        ("-x", "-x"),
        ("tab\there", '"tab\\there"'),
    ],
)
def test_a_word_is_quoted_where_it_must_be(text: str, written: str) -> None:
    assert quote_word(text) == written


def test_a_dollar_keeps_systemd_from_looking_for_variables() -> None:
    assert quote_command(["/bin/echo", "$HOME"]) == ':/bin/echo "$HOME"'


def test_a_word_that_systemd_is_to_fill_in_is_left_as_it_is() -> None:
    assert quote_command([Specifiers("%h/bin/x"), Specifiers("%i"), "%i"]) == "%h/bin/x %i %%i"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["/bin/x", "a\nb"], "control character"),
        (["/bin/x", "\x1b"], "control character"),
        (["/bin/x", "\udce9"], "UTF-8"),
        (["bin/x"], "absolute path"),
        (["/o'brien/x"], "starts no program"),
        (["/a\\b/x"], "starts no program"),
    ],
)
def test_what_no_unit_file_can_hold_is_refused_with_the_reason(words: list[str], why: str) -> None:
    with pytest.raises(UnquotableError, match=why):
        quote_command(words)

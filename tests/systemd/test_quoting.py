from __future__ import annotations

import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.systemd.quoting import Specifiers, UnquotableError, quote_command, quote_word

WRITABLE = st.text(st.characters(blacklist_categories=["Cs", "Cc"]) | st.just("\t"))
AWKWARD = st.text(st.sampled_from("%$\\\"';: -{}\t\nax4" + string.printable))


def split_as_systemd(line: str) -> list[str]:
    """Split a line as systemd's extract_first_word() does, with quotes and C escapes.

    This follows systemd.syntax(7) and systemd.service(5); tests/e2e compares with systemd itself.
    """
    words: list[str] = []
    rest = line.removeprefix(":")
    while rest := rest.lstrip(" \t"):
        text, quote = "", ""
        while rest and (quote or rest[0] not in " \t"):
            character, rest = rest[0], rest[1:]
            if character == "\\":
                character, rest = {"t": "\t"}.get(rest[0], rest[0]), rest[1:]
                text += character
            elif character == quote:
                quote = ""
            elif not quote and character in "\"'":
                quote = character
            else:
                text += character
        words.append(text.replace("%%", "%"))
    return words


def needs_refusal(text: str) -> bool:
    return any((c < " " and c != "\t") or c == "\x7f" for c in text)


@given(st.lists(WRITABLE | AWKWARD))
def test_every_word_is_parsed_back_or_refused(words: list[str]) -> None:
    if any(map(needs_refusal, words)):
        with pytest.raises(UnquotableError):
            quote_command(["/bin/true", *words])
    else:
        assert split_as_systemd(quote_command(["/bin/true", *words])) == ["/bin/true", *words]


@given(st.lists(AWKWARD | WRITABLE))
def test_a_command_is_one_line_without_separator_or_continuation(words: list[str]) -> None:
    try:
        line = quote_command(["/bin/true", *words])
    except UnquotableError:
        return

    assert line.isprintable() or not line.isascii()
    assert " ; " not in f" {line} " or '"' in line
    assert not line.endswith("\\")
    assert line.startswith(":") == ("$" in line)


def test_plain_words_are_not_quoted() -> None:
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
def test_a_word_is_quoted_if_necessary(text: str, written: str) -> None:
    assert quote_word(text) == written


def test_a_dollar_sign_disables_variable_substitution() -> None:
    assert quote_command(["/bin/echo", "$HOME"]) == ':/bin/echo "$HOME"'


def test_specifiers_are_not_escaped() -> None:
    assert quote_command([Specifiers("%h/bin/x"), Specifiers("%i"), "%i"]) == "%h/bin/x %i %%i"


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (["/bin/x", "a\nb"], "control character"),
        (["/bin/x", "\x1b"], "control character"),
        (["/bin/x", "\udce9"], "UTF-8"),
        (["bin/x"], "absolute path"),
        (["/o'brien/x"], "starts no program"),
        (["/a\\b/x"], "starts no program"),
    ],
)
def test_a_word_that_a_unit_file_cannot_contain_is_refused(words: list[str], reason: str) -> None:
    with pytest.raises(UnquotableError, match=reason):
        quote_command(words)

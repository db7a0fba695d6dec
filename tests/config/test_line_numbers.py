"""Line numbers of keys, compared with the keys that tomllib finds."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.config.line_numbers import line_numbers

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tunnelkeeper.config.errors import KeyPath

EVERYTHING = '''\
# a comment with [brackets] and "quotes
top = 1
[a]
b.c = 2
b."d e" = { f = [1, 2], "g]" = '}' } # comment = 1
text = """
[not.a.table]
not_a_key = "" \\""" still
"""""
'literal key' = \'\'\'
# no comment
x = 1\'\'\'
list = [ # first
  "one, ]",
  [2, 3], # [ nested

  { h = 4 },
]
date = 1979-05-27 07:32:00
[ z . "y.w" ]
  v = true
[[tables]]
name = "first"
[tables.below]
k = 1
[[tables]]
[[tables.deep]]
n = 1
[[tables.deep]]
n = 2
'''


@pytest.mark.parametrize(
    ("path", "line"),
    [
        (("top",), 2),
        (("a",), 3),
        (("a", "b"), 4),
        (("a", "b", "c"), 4),
        (("a", "b", "d e", "f", 1), 5),
        (("a", "b", "d e", "g]"), 5),
        (("a", "text"), 6),
        (("a", "literal key"), 10),
        (("a", "list"), 13),
        (("a", "list", 0), 14),
        (("a", "list", 1, 1), 15),
        (("a", "list", 2, "h"), 17),
        (("a", "date"), 19),
        (("z",), 20),
        (("z", "y.w"), 20),
        (("z", "y.w", "v"), 21),
        (("tables",), 22),
        (("tables", 0, "name"), 23),
        (("tables", 0, "below", "k"), 25),
        (("tables", 1), 26),
        (("tables", 1, "deep", 0, "n"), 28),
        (("tables", 1, "deep", 1), 29),
        (("tables", 1, "deep", 1, "n"), 30),
    ],
)
def test_every_form_of_a_key_has_its_line(path: KeyPath, line: int) -> None:
    assert line_numbers(EVERYTHING)[path] == line


def test_a_table_has_the_line_of_its_own_header() -> None:
    assert line_numbers("[a.b]\n[a]\n")["a",] == 2


def test_a_crlf_counts_as_one_line_end() -> None:
    assert line_numbers("a = 1\r\nb = [\r\n 2,\r\n]\r\n")["b", 0] == 3


def test_escapes_in_a_quoted_key_are_decoded() -> None:
    assert line_numbers('\n"a\\u0062\\"" = 1\n') == {('ab"',): 2}


BARE_KEYS = st.text("abz019_-", min_size=1, max_size=4)
QUOTED_KEYS = st.text("a.=[]{}#,' ", min_size=1, max_size=5)
KEYS = BARE_KEYS | QUOTED_KEYS
TEXTS = st.text("ab\"'\\\n#=[]{}, ", max_size=8)
GAPS = st.sampled_from(["", " ", "\n", ' # a comment ] } "\n', "\n\n\t"])
VALUES = st.recursive(
    st.integers() | st.booleans() | st.dates() | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(KEYS, VALUES, max_size=5)


@st.composite
def toml_texts(draw: st.DrawFn) -> str:
    """Write a random document in one of the forms that TOML allows."""
    return _table_text(draw, draw(DOCUMENTS), ())


def _table_text(draw: st.DrawFn, table: dict[str, Any], header: tuple[str, ...]) -> str:
    """Write the pairs first, because a header ends the table; then the tables with headers."""
    with_headers = {
        key: value
        for key, value in table.items()
        if (isinstance(value, dict) or _is_list_of_tables(value)) and draw(st.booleans())
    }
    text = "".join(
        draw(GAPS.filter(lambda gap: gap in {"", "\n"})) + line
        for key, value in table.items()
        if key not in with_headers
        for line in _pair_lines(draw, (key,), value)
    )
    for key, value in with_headers.items():
        name = (*header, key)
        if isinstance(value, dict):
            text += f"[{_dotted(name)}]\n{_table_text(draw, value, name)}"
        else:
            for element in value:
                text += f"[[{_dotted(name)}]] # x\n{_table_text(draw, element, name)}"
    return text


def _is_list_of_tables(value: object) -> bool:
    return (
        isinstance(value, list)
        and bool(value)
        and all(isinstance(element, dict) for element in value)
    )


def _pair_lines(draw: st.DrawFn, keys: tuple[str, ...], value: Any) -> Iterator[str]:
    if isinstance(value, dict) and value and draw(st.booleans()):
        for key, inner in value.items():
            yield from _pair_lines(draw, (*keys, key), inner)
    else:
        yield f"{_dotted(keys)} = {_value_text(draw, value)} # = [\n"


def _dotted(keys: tuple[str, ...]) -> str:
    return " . ".join(
        key if key.isascii() and key.replace("_", "a").replace("-", "a").isalnum() else f'"{key}"'
        for key in keys
    )


def _value_text(draw: st.DrawFn, value: Any) -> str:
    match value:
        case bool():
            return str(value).lower()
        case dict():
            pairs = (f"{_dotted((k,))}={_value_text(draw, v)}" for k, v in value.items())
            return f"{{ {', '.join(pairs)} }}"
        case list():
            elements = [draw(GAPS) + _value_text(draw, v) + draw(GAPS) for v in value]
            return f"[{','.join(elements)}{draw(GAPS)}]"
        case str():
            return _string_text(draw, value)
    return str(value)


def _string_text(draw: st.DrawFn, text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("\n", "\\n").replace('"', '\\"')
    forms = [f'"{escaped}"', f'"""\n{escaped}"""', f'"""{escaped}"""']
    if "'" not in text:
        forms.append(f"'''\n{text}'''")
        if "\n" not in text:
            forms.append(f"'{text}'")
    return draw(st.sampled_from(forms))


def paths_of(value: object, prefix: KeyPath = ()) -> Iterator[KeyPath]:
    """Yield the path of every value in a document."""
    inner: Iterator[tuple[str | int, object]] = iter(())
    if isinstance(value, dict):
        inner = iter(value.items())
    elif isinstance(value, list):
        inner = iter(enumerate(value))
    for part, child in inner:
        yield (*prefix, part)
        yield from paths_of(child, (*prefix, part))


@given(toml_texts())
def test_every_key_that_tomllib_finds_has_a_line_that_contains_it(text: str) -> None:
    document = tomllib.loads(text)
    lines = line_numbers(text)

    assert set(lines) == set(paths_of(document))
    for path, line in lines.items():
        if isinstance(path[-1], str):
            assert path[-1] in text.split("\n")[line - 1]

"""Removal of tunnels from a text; tests/importing/test_config_file.py has the other edits."""

from __future__ import annotations

import tomllib
from textwrap import dedent

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.config.toml_edit import NotATableError, remove_tunnels

TEXT = """\
#:schema ./tunnels.schema.json
# My tunnels.

[defaults]
hold_timeout = 20   # seconds

# About the database.
# More about it.
[tunnels.db]
host = "relay"
local = [
    "5432:db:5432",  # [tunnels.web]
    # a comment inside
]
# socks = 1

# Its waits.
[tunnels.db.backoff]
max = 10

# About the web.
[tunnels."web.eu"]
host = 'relay'
socks = "1080"

# The end.
"""


def test_a_table_goes_with_its_comments_and_its_subtables() -> None:
    assert remove_tunnels(TEXT, ["db"]) == dedent(
        """\
        #:schema ./tunnels.schema.json
        # My tunnels.

        [defaults]
        hold_timeout = 20   # seconds

        # About the web.
        [tunnels."web.eu"]
        host = 'relay'
        socks = "1080"

        # The end.
        """
    )


def test_a_table_whose_name_needs_quotes_is_removed_and_comments_below_stay() -> None:
    text = remove_tunnels(TEXT, ["web.eu"])

    assert text == TEXT[: TEXT.index("# About the web")] + "# The end.\n"


def test_all_tunnels_can_be_removed_at_once() -> None:
    text = remove_tunnels(TEXT, ["web.eu", "db"])

    assert tomllib.loads(text) == {"defaults": {"hold_timeout": 20}}
    assert text.endswith("seconds\n\n# The end.\n")


def test_the_comment_of_the_next_table_stays_without_an_empty_line() -> None:
    text = '[tunnels.a]\nhost = "h"\n# about b\n[tunnels.b]\nhost = "h"\n'

    assert remove_tunnels(text, ["a"]) == '# about b\n[tunnels.b]\nhost = "h"\n'
    assert remove_tunnels(text, ["b"]) == '[tunnels.a]\nhost = "h"\n'


def test_of_neighbours_that_go_together_the_comment_below_stays() -> None:
    text = "[tunnels.a]\n# in a\n[tunnels.b]\n# about c\n[tunnels.c]\n"

    assert remove_tunnels(text, ["a", "b"]) == "# about c\n[tunnels.c]\n"


def test_the_line_of_the_schema_stays() -> None:
    text = '#:schema x.json\n# about a\n[tunnels.a]\nhost = "h"\n'

    assert remove_tunnels(text, ["a"]) == "#:schema x.json\n"


def test_a_line_of_a_text_is_no_comment() -> None:
    text = 'x = """\n# text"""\n[tunnels.a]\n'

    assert remove_tunnels(text, ["a"]) == 'x = """\n# text"""\n'


@pytest.mark.parametrize(
    ("text", "rest"),
    [
        ("[tunnels]\n# a\na = { host = 'h' }\nb = {}\n", "[tunnels]\nb = {}\n"),
        ("tunnels.a.host = 'h'\ntunnels.a.socks = [\n1,\n]\ntunnels.b = {}\n", "tunnels.b = {}\n"),
        ("[tunnels]\r\na.host = 'h'\r\n\r\n[hosts]\r\n", "[tunnels]\r\n\r\n[hosts]\r\n"),
        ("[tunnels.a]\nhost = 'h'\n[[tunnels.a.local]]\nlisten = 1\n[x]\n", "[x]\n"),
    ],
)
def test_every_way_to_write_a_tunnel_can_be_removed(text: str, rest: str) -> None:
    assert remove_tunnels(text, ["a"]) == rest


def test_an_inline_table_of_all_tunnels_is_refused() -> None:
    with pytest.raises(NotATableError, match="'a' is inside an inline table"):
        remove_tunnels("tunnels = { a = { host = 'h' } }\n", ["a"])


COMMENTS = st.sampled_from(["", "\n", "# c\n", "\n# c\n\n", "# [tunnels.x]\n"])
WAYS = st.sampled_from(
    [
        "[tunnels.{}]\nhost = 'h'  # [x]\n",
        "[tunnels.{}]\nlocal = [\n  # in\n  '1:a:1',\n]\n\n# sub\n[tunnels.{}.backoff]\nmax = 1\n",
        "[tunnels.{}]\n[[tunnels.{}.socks]]\nlisten = 1\n[[tunnels.{}.socks]]\nlisten = 2\n",
        "[hosts.{}]\nuser = '''\n# no comment\n[tunnels.x]'''\n",
    ]
)


@given(st.lists(st.tuples(COMMENTS, WAYS, COMMENTS), min_size=1, max_size=5), st.data())
def test_removal_changes_no_other_value(
    blocks: list[tuple[str, str, str]], data: st.DataObject
) -> None:
    text = "".join(
        f"{above}{way.replace('{}', f't{number}')}{below}"
        for number, (above, way, below) in enumerate(blocks)
    )
    expected = tomllib.loads(text)
    names = list(expected.get("tunnels", {}))
    removed = data.draw(st.sets(st.sampled_from(names)) if names else st.just(set()))

    rest = tomllib.loads(remove_tunnels(text, removed))

    for name in removed:
        del expected["tunnels"][name]
    assert rest.get("tunnels", {}) == expected.get("tunnels", {})
    assert rest.get("hosts") == expected.get("hosts")

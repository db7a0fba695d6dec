"""Limits of a config file: any text is parsed or refused in a short time, with a clear message."""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunnelkeeper.config import ConfigError, load, parse, toml_document, toml_limits
from tunnelkeeper.config.toml_limits import (
    MAX_DEPTH,
    MAX_PARTS,
    MAX_TOKENS,
    SIZE_LIMIT,
    limit_problem,
)
from tunnelkeeper.relay import config as relay_config

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

TOO_DEEP = "brackets are nested too deeply"
TOO_MANY_PARTS = f"a key has more than {MAX_PARTS} parts"

fragments = st.sampled_from(
    [
        *[
            "a",
            "b.c",
            '"d.e"',
            "'f'",
            ".",
            "=",
            "\n",
            " ",
            "[",
            "]",
            "[[",
            "]]",
            "{",
            "}",
            ",",
            "#",
        ],
        *['"""', "'''", '"', "'", "\\", '\\"', "1", "0x1F", "1e9", "1979-05-27", "true", "-"],
        *[
            "#",
            "é",
            "tunnels",
            "host",
            "listen",
            "limits",
            "local",
            '"22"',
            "[tunnels.a]\n",
            "x = 1\n",
        ],
    ]
)


def problems_of(parse_file: Callable[[str, str], object], text: str) -> list[str] | None:
    """Return the problems of a text, or None if it can be used."""
    try:
        parse_file(text, "t.toml")
    except ConfigError as error:
        return list(map(str, error.problems))
    return None


def problem_of(text: str) -> str:
    with pytest.raises(ConfigError) as raised:
        parse(text, "t.toml")
    [problem] = raised.value.problems
    return str(problem)


@pytest.mark.parametrize("parse_file", [parse, relay_config.parse])
@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (".".join(["a"] * 100_000) + " = 1", 1, TOO_MANY_PARTS),
        ("# x\n[" + " . ".join(['"a.b"'] * 100_000) + "]", 2, TOO_MANY_PARTS),
        ("\n\nx = { " + ".".join(["'a'"] * (MAX_PARTS + 1)) + " = 1 }", 3, TOO_MANY_PARTS),
        ("x = " + "[" * 100_000, 1, TOO_DEEP),
        ("x = " + "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), 1, TOO_DEEP),
        ("\nx = " + "{ a = " * 100_000, 2, TOO_DEEP),
        ("[" * 100_000, 1, TOO_DEEP),
        ("x = [" + "1," * MAX_TOKENS + "]", 1, f"the file has more than {MAX_TOKENS} keys"),
        ("x = [" + "[]," * MAX_TOKENS + "]", 1, f"the file has more than {MAX_TOKENS} keys"),
    ],
)
def test_a_file_beyond_a_limit_is_refused_with_its_line(
    parse_file: Callable[[str, str], Any], text: str, line: int, message: str
) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_file(text, "t.toml")
    [problem] = raised.value.problems

    assert str(problem).startswith(f"t.toml:{line}: {message}")


@pytest.mark.parametrize(
    "text",
    [
        ".".join(["a"] * MAX_PARTS) + " = 1",
        "x = " + "[" * MAX_DEPTH + "]" * MAX_DEPTH,
        "x = [" + "[], " * 1000 + "]",
        'x = "' + "a." * 1000 + '"',
        f"x = '{'[' * 1000}'",
        f'x = """{"[" * 1000}\n{"a." * 1000}"""',
        f"x = '''{'[' * 1000}'''\n# {'[a.' * 1000}",
        '"' + "a." * 1000 + '" = 1',
        'x = """\\"""" + "' + "[" * 100 + '"',
    ],
)
def test_what_is_below_the_limits_or_inside_a_string_is_accepted(text: str) -> None:
    assert limit_problem(text) is None


@pytest.mark.parametrize(
    "text",
    [
        '"""\\' * 100_000,
        '"""\\"' * 100_000,
        '\\"' * 50_000,
        '"\\"' * 50_000,
        "'''" * 100_001,
        "\"'" * 50_000,
        ". " * 50_000,
        "a." * 50_000,
        'a = "' + "\\" * 100_000,
        "x = " + "9" * 100_000,
        "x = 0x" + "f" * 100_000,
        "x = 1." + "9" * 100_000,
        "x = 1e" + "9" * 1000,
        "x = " + "1_" * 50_000,
        "-" * 100_000,
        "[a]\n" * 20_000,
        "[[a]]\n" * 5_000 + "x",
        "x = " + " " * 100_000,
        "a = 1\n" * 20_000,
        "\0" * 100_000,
    ],
)
def test_a_text_of_one_repeated_piece_is_refused(text: str) -> None:
    """A walk over tokens that went back for each of them would not end within the test's time."""
    limit_problem(text)
    with pytest.raises(ConfigError):
        parse(text, "t.toml")


@given(st.lists(fragments, max_size=40).map("".join))
def test_any_text_is_a_config_or_has_problems(text: str) -> None:
    for parse_file in (parse, relay_config.parse):
        problems = problems_of(parse_file, text)
        assert problems is None or (problems and all(map(str.isprintable, problems)))


@given(
    st.recursive(
        st.one_of(st.integers(), st.booleans(), st.text('a.[]{}#="\\\n', max_size=5)),
        lambda inner: st.lists(inner, max_size=3),
    ),
    st.lists(st.text("ab.\"'\\ #[", max_size=3), min_size=1, max_size=3),
)
def test_the_tokens_are_those_of_tomllib(value: Any, parts: list[str]) -> None:
    """What is counted is what tomllib finds, wherever strings contain dots and brackets."""
    quoted = ["'" + part.replace("'", "") + "'" for part in parts]
    text = f"{'.'.join(quoted)} = {as_toml(value)}"
    tomllib.loads(text)

    depth = depth_of(value)
    assert (limit_problem(text) is None) == (depth <= MAX_DEPTH and len(parts) <= MAX_PARTS)
    for name, exact, limit in (("MAX_PARTS", len(parts), 1), ("MAX_DEPTH", depth, 1)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(toml_limits, name, limit)
            assert (limit_problem(text) is None) == (exact <= limit)


def as_toml(value: Any) -> str:
    if isinstance(value, list):
        return "[" + ", ".join(map(as_toml, value)) + "]"
    if isinstance(value, str):
        escaped = "".join(
            f"\\U{ord(c):08X}" if c in '"\\' or not c.isprintable() else c for c in value
        )
        return '"' + escaped.encode("utf-8", "replace").decode() + '"'
    return str(value).lower()


def depth_of(value: Any) -> int:
    return 1 + max(map(depth_of, value), default=0) if isinstance(value, list) else 0


def test_a_huge_file_is_refused_unread(tmp_path: Path) -> None:
    path = tmp_path / "tunnels.toml"
    path.write_text("#" * (SIZE_LIMIT + 1))

    with pytest.raises(ConfigError, match="larger than 2 MiB"):
        load(path)
    with pytest.raises(ConfigError, match="larger than 2 MiB"):
        relay_config.load(path)


def test_many_problems_are_shown_up_to_a_number() -> None:
    text = "".join(f"key{number} = 1\n" for number in range(5_000))
    for parse_file in (parse, relay_config.parse):
        with pytest.raises(ConfigError) as raised:
            parse_file(text, "t.toml")
        problems = raised.value.problems

        assert len(problems) == toml_document.MAX_PROBLEMS + 1
        assert str(problems[0]).startswith("t.toml:1: key0: unknown key")
        assert str(problems[-1]) == f"t.toml: {5_000 - toml_document.MAX_PROBLEMS} more problems"


def test_a_number_of_thousands_of_digits_is_refused() -> None:
    assert problem_of("x = " + "9" * 5000) == "t.toml: a number has thousands of digits"

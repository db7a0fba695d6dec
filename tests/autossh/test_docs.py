"""docs/autossh.md documents the support of every option and variable."""

from __future__ import annotations

import re

import pytest

from tests.imports import ROOT
from tests.markdown import rows_of, section
from tunnelkeeper.autossh.environment import parse_environment
from tunnelkeeper.autossh.options import OPTIONS, Support
from tunnelkeeper.autossh.ssh_command import CommandLineError

PAGE = ROOT / "docs" / "autossh.md"
OPTION = re.compile(r"`-(\w)`")
EXPLAINED_ELSEWHERE = {"f", "o"}
"""The options that another section of the page explains."""


def documented_support() -> dict[str, str]:
    rows = rows_of(section(PAGE, "Options of ssh"))
    return {letter: text for option, text in rows for letter in OPTION.findall(option)}


@pytest.mark.parametrize("letter", sorted(OPTIONS))
def test_the_support_of_each_option_is_documented(letter: str) -> None:
    rule, text = OPTIONS[letter], documented_support()[letter]

    if letter not in EXPLAINED_ELSEWHERE:
        assert text.startswith(rule.support)
    if rule.support_in_session is Support.REFUSED:
        assert "else refused" in text


def test_only_existing_options_are_documented() -> None:
    assert set(documented_support()) == set(OPTIONS)


def test_every_variable_is_documented() -> None:
    rows = rows_of(section(PAGE, "Variables"))
    names = {cells[0].strip("`") for cells in rows}
    numbers = {name for name in names if is_number(name)}

    assert len(names) == len(rows) == 13
    assert numbers == {
        f"AUTOSSH_{name}"
        for name in ("FIRST_POLL", "GATETIME", "LOGLEVEL", "MAXLIFETIME", "MAXSTART", "POLL")
    }


def is_number(variable: str) -> bool:
    try:
        parse_environment({variable: "no number"})
    except CommandLineError:
        return True
    return False

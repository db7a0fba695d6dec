from __future__ import annotations

import pytest

from tunnelkeeper import __version__
from tunnelkeeper.autossh.usage import USAGE, information


@pytest.mark.parametrize("line", ["-V", "-M 0 -V", "--strict -V host", "host -V"])
def test_the_option_for_the_version_has_its_text(line: str) -> None:
    assert information(line.split()) == f"autossh 1.4g (tunnelkeeper {__version__})\n"


@pytest.mark.parametrize("line", ["-h", "--help", "-M 0 -h"])
def test_the_option_for_help_has_the_usage(line: str) -> None:
    assert information(line.split()) == USAGE


@pytest.mark.parametrize("line", ["", "host", "-M 0 host ls -V", "-M", "--bogus -V"])
def test_other_and_invalid_lines_have_no_text(line: str) -> None:
    assert information(line.split()) is None

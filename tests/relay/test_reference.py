"""docs/relay.md matches relay.toml, and the example is valid."""

from __future__ import annotations

import tomllib
from dataclasses import fields

import pytest

from tests.imports import ROOT
from tests.markdown import rows_of, section
from tunnelkeeper.relay import authorized_keys, config
from tunnelkeeper.relay.config import LIMIT_KEYS, RELAY_KEYS, RelayConfiguration
from tunnelkeeper.relay.key_options import _FLAGS, _VALUES

PAGE = ROOT / "docs" / "relay.md"
EXAMPLE = ROOT / "examples" / "relay.toml"


def documented() -> dict[str, str]:
    """Return the Default column of the tables of keys, by key."""
    rows = rows_of(section(PAGE, "relay.toml"))
    return {cells[0].strip("`"): cells[2].strip("`") for cells in rows if len(cells) == 3}


def test_every_key_is_documented_and_no_other() -> None:
    assert sorted(documented()) == sorted({*RELAY_KEYS, *LIMIT_KEYS} - {"limits"})


def test_the_documented_defaults_are_the_defaults() -> None:
    lines = [
        f"{key} = {value}"
        for key, value in documented().items()
        if not key.startswith("memory")  # these depend on the machine
    ]
    limits = [line for line in lines if line.split()[0] in LIMIT_KEYS]
    keys = [line for line in lines if line not in limits]
    written = config.parse("\n".join([*keys, "[limits]", *limits]), "")

    assert written == RelayConfiguration()


def test_the_example_loads_and_names_only_what_is_documented() -> None:
    loaded = config.parse(EXAMPLE.read_text(), str(EXAMPLE))

    assert loaded.listen[0].port == config.DEFAULT_PORT
    assert set(tomllib.loads(EXAMPLE.read_text())) <= {field.name for field in fields(loaded)}


@pytest.mark.parametrize("page", [EXAMPLE, PAGE], ids=lambda page: page.name)
def test_the_options_of_example_keys_are_valid(page: object) -> None:
    text = EXAMPLE.read_text() if page is EXAMPLE else PAGE.read_text()
    key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAI" + "A" * 42 + "A"
    lines = [line for line in text.splitlines() if "ssh-ed25519 AAAA..." in line]
    assert lines
    for line in lines:
        start = line.index("restrict")
        end = line.index("ssh-ed25519")
        _, warnings = authorized_keys.parse(f"{line[start:end]}{key}", "")
        assert warnings == ()


def test_every_option_of_a_key_is_documented() -> None:
    text = section(PAGE, "authorized_keys").lower()
    unmentioned = {"touch-required", "no-verify-required", "x11-forwarding"}
    known = {*_FLAGS, *_VALUES, "expiry-time"} - unmentioned
    shown = {name for name in known if name in text or name.removeprefix("no-") in text}

    assert known == shown

"""The generated text of the files in units/, and of the units that docs/relay.md shows.

As a program, this module writes them.
"""

from __future__ import annotations

from pathlib import Path

from tests.markdown import blocks
from tunnelkeeper.systemd.unit_templates import DEFAULT_PROGRAM, UnitKind, UnitOptions, unit_files

ROOT = Path(__file__).parents[2]
UNITS_DIRECTORY = ROOT / "units"
RELAY_PAGE = ROOT / "docs" / "relay.md"


def generate_unit_texts() -> dict[str, str]:
    """Return all user units with default options, by name."""
    options = UnitOptions(DEFAULT_PROGRAM)
    return {name: text for kind in UnitKind for name, text in unit_files(kind, options).items()}


def generate_relay_system_units() -> dict[str, str]:
    """Return the system units of the relay, as docs/relay.md shows them."""
    options = UnitOptions(
        ["/usr/local/bin/tunnelkeeper"],
        ["--config", "/etc/tunnelkeeper-relay/relay.toml"],
        is_system=True,
    )
    return unit_files(UnitKind.RELAY, options)


if __name__ == "__main__":
    for name, text in generate_unit_texts().items():
        (UNITS_DIRECTORY / name).write_text(text)
    page = RELAY_PAGE.read_text(encoding="utf-8")
    for shown, text in zip(
        blocks(RELAY_PAGE, "ini"), generate_relay_system_units().values(), strict=True
    ):
        page = page.replace(shown, text)
    RELAY_PAGE.write_text(page, encoding="utf-8")

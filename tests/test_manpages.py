"""The man pages: current, complete, and rendered without a warning."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import zipfile
from typing import TYPE_CHECKING

import click
import pytest

from docs.manpages import described_by_click, generate_files, link_from, options_missing_in
from docs.roff import Roff, escaped, parse_sections
from tests.imports import ROOT
from tests.requirements import absent, require
from tests.test_docs import DEFAULTS, commands
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.relay.config import LIMIT_KEYS, RELAY_KEYS

if TYPE_CHECKING:
    from pathlib import Path

PAGES = generate_files()
each_page = pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)


def rendered(name: str, width: int = 80) -> str:
    """Return a page as text, as groff prints it."""
    command = [require("groff"), "-man", "-Tascii", "-P-cbou", f"-rLL={width}n", "-ww"]
    done = subprocess.run(
        [*command, str(ROOT / "man" / name)], capture_output=True, text=True, check=True
    )
    assert done.stderr == ""
    return done.stdout


@each_page
def test_a_page_is_current(path: Path) -> None:
    assert path.read_text(encoding="utf-8") == PAGES[path], "stale; run `make man`"


@each_page
def test_a_page_is_rendered_without_a_warning(path: Path) -> None:
    groff = [require("groff"), "-man", "-Tutf8", "-ww", str(path)]
    man = [require("man"), "--warnings", "-l", str(path)]
    for command in (groff, man):
        done = subprocess.run(
            command, env={"MANWIDTH": "80", "LC_ALL": "C.UTF-8"}, capture_output=True, check=False
        )

        assert (done.returncode, done.stderr.decode()) == (0, "")
        assert done.stdout


@each_page
def test_a_page_has_the_sections_of_every_man_page(path: Path) -> None:
    lines = rendered(path.name).splitlines()

    assert [line for line in lines if line in {"NAME", "DESCRIPTION", "SEE ALSO"}] == [
        "NAME",
        "DESCRIPTION",
        "SEE ALSO",
    ]


def test_the_page_of_the_program_has_every_command_with_its_usage_and_options() -> None:
    page = rendered("tunnelkeeper.1", width=200)
    for name, command in commands().items():
        usage = " ".join(command.collect_usage_pieces(click.Context(command)))
        options = [param.opts[-1] for param in command.params if isinstance(param, click.Option)]

        assert f"tunnelkeeper {name} {usage}\n" in page
        assert [option for option in options if option not in page] == []


def test_the_page_of_the_program_has_every_exit_code() -> None:
    _, _, below = rendered("tunnelkeeper.1").partition("\nEXIT STATUS\n")
    tags = {line.split()[0] for line in below.splitlines() if line.startswith("       ")}

    assert {str(int(code)) for code in ExitCode} <= tags


def test_the_pages_of_the_config_files_have_every_key() -> None:
    tunnels = [key for keys in DEFAULTS.values() for key in keys]
    relay = [*RELAY_KEYS, *LIMIT_KEYS]
    for name, keys in (("tunnels.toml.5", tunnels), ("relay.toml.5", relay)):
        tags = {line.split()[0] for line in rendered(name).splitlines() if line[:8].strip()}

        assert [key for key in keys if key not in tags and f"[{key}]" not in rendered(name)] == []


def test_the_wheel_has_the_pages_and_the_schemas(tmp_path: Path) -> None:
    if importlib.util.find_spec("hatchling") is None:
        absent("hatchling is not installed; requirements/dev.lock has it")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    [wheel] = tmp_path.glob("*.whl")
    names = zipfile.ZipFile(wheel).namelist()
    shared = {name.partition(".data/data/")[2] for name in names}

    assert {f"share/man/man{path.suffix[1:]}/{path.name}" for path in PAGES} <= shared
    assert {
        "tunnelkeeper/schemas/tunnels.schema.json",
        "tunnelkeeper/schemas/relay.schema.json",
    } <= set(names)


# -- the renderer ----------------------------------------------------------------------------------


def roff_of(markdown: str) -> list[str]:
    [section] = parse_sections(markdown)
    return list(Roff(link_from("config.md")).blocks(section.nodes))


def test_text_with_a_meaning_to_roff_is_escaped() -> None:
    assert escaped("a-b\\c '`^~\" \N{RIGHTWARDS ARROW}") == (
        "a\\-b\\ec \\(aq\\(ga\\(ha\\(ti\\(dq \\[u2192]"
    )
    assert escaped("well-known", is_prose=True) == "well-known"
    assert roff_of("a line\n.TH of text") == [".PP", "a line", "\\&.TH of text"]
    assert roff_of("```\n.TH\n'x\n\n```") == [
        *(".PP", ".RS 4", ".EX"),
        *("\\&.TH", "\\&\\(aqx"),
        *(".EE", ".RE"),
    ]


def test_a_table_becomes_a_list_of_its_rows() -> None:
    table = "| Key | Type | Meaning |\n|---|---|---|\n| `a_b` | text | what it is |\n"

    assert roff_of(table) == [
        ".TP",
        "\\%\\fBa_b\\fP",
        "what it is.",
        "\\fIType:\\fP text.",
    ]


def test_code_is_not_hyphenated() -> None:
    assert roff_of("(`a-b c`)") == [".PP", "\\%(\\fBa\\-b \\%c\\fP)"]


def test_links_become_references_to_man_pages_or_text() -> None:
    link = link_from("config.md")

    assert link("this", "#values") == "this"
    assert link("that", "reliability.md#hooks") == "that"
    assert link("docs/relay.md", "relay.md") == "\\fBrelay.toml\\fP(5)"
    assert link("a relay", "relay.md#names") == "a relay (\\fBrelay.toml\\fP(5))"
    assert link("TOML", "https://toml.io") == "TOML <https://toml.io>"


def test_a_command_without_documentation_is_described_by_its_help() -> None:
    @click.command()
    @click.argument("name", metavar="NAME")
    @click.option("--now", is_flag=True, help="Do it at once.")
    def new(name: str, now: bool) -> None:
        """Do something new."""

    [section] = described_by_click("new", new)
    lines = list(Roff(link_from("commands.md")).blocks(section.nodes))
    lines += options_missing_in(lines, new)

    assert section.title == "new"
    assert "tunnelkeeper new [OPTIONS] NAME" in lines
    assert "Do something new." in lines
    assert lines[lines.index("\\%\\fB\\-\\-now\\fP") + 1] == "Do it at once."
    assert options_missing_in(lines, new) == []

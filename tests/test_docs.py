"""What users and contributors read is true: names, defaults, examples and links."""

from __future__ import annotations

import re
import tomllib
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import click
import pytest

from tests.markdown import blocks, blocks_in, headings, leads_somewhere, links, rows_of, section
from tunnelkeeper.cli.main import program
from tunnelkeeper.config import parse
from tunnelkeeper.config.schema import (
    BACKOFF_KEYS,
    HOST_KEYS,
    OWN_KEYS,
    POLICY_KEYS,
    SUPERVISOR_KEYS,
)
from tunnelkeeper.core.configuration import Backoff, HostOptions, SupervisorOptions, Tunnel
from tunnelkeeper.core.exit_codes import ExitCode
from tunnelkeeper.core.failures import NEEDS_USER_CAUSES, NO_HANDSHAKE_CAUSES, Cause
from tunnelkeeper.core.retry_policy import NO_HANDSHAKE_MAX_DELAY
from tunnelkeeper.core.snapshot import StateName
from tunnelkeeper.sshconfig import gather_facts
from tunnelkeeper.sshconfig.resolve import LookupResult, resolve

ROOT = Path(__file__).parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("examples/*.md")])

each_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


# -- the config file -------------------------------------------------------------------------------


def host_defaults() -> dict[str, object]:
    """Return the defaults of a host that has no settings; None: it varies."""
    host = resolve(LookupResult("host", "host", HostOptions(), {}, {}, gather_facts()))
    renamed = {
        "port": host.ports[0],
        "known_hosts": host.user_known_hosts,
        "keepalive_interval": host.keepalive.interval,
        "keepalive_count_max": host.keepalive.count_max,
        **dict.fromkeys(("hostname", "user", "jump", "identity_agent")),
        **dict.fromkeys(("rekey_limit", "ip_qos", "tag", "stream_local_bind_mask")),
        "update_host_keys": None,
    }
    return {key: renamed[key] if key in renamed else getattr(host, key) for key in HOST_KEYS}


def tunnel_defaults() -> dict[str, object]:
    tunnel = Tunnel("name", "host")
    policies = {key: getattr(tunnel, key) for key in POLICY_KEYS}
    return {**dict.fromkeys(OWN_KEYS), **policies, "backoff": asdict(tunnel.backoff)}


DEFAULTS = {
    "[supervisor]": {key: getattr(SupervisorOptions(), key) for key in SUPERVISOR_KEYS},
    "[hosts.NAME]: keys of a host": host_defaults(),
    "[tunnels.NAME]: keys of a tunnel": tunnel_defaults(),
    "backoff": {key: getattr(Backoff(), key) for key in BACKOFF_KEYS},
}
each_table = pytest.mark.parametrize("heading", DEFAULTS)


@each_table
def test_the_reference_has_every_key_of_a_table_and_no_other(heading: str) -> None:
    assert sorted(documented_defaults(heading)) == sorted(DEFAULTS[heading])


@each_table
def test_the_reference_has_the_default_of_every_key(heading: str) -> None:
    shown = documented_defaults(heading)
    for key, default in DEFAULTS[heading].items():
        if shown[key].startswith("`"):
            assert literal(shown[key]) == ([] if default == () else default), key
        else:
            assert default in (None, ()), f"{key} has a default that can be written as TOML"


@each_table
def test_every_key_is_used_in_an_example_of_the_reference(heading: str) -> None:
    documents = [tomllib.loads(text) for text in blocks(ROOT / "docs/config.md", "toml")]

    assert set(DEFAULTS[heading]) - keys_in(documents) == set()


def documented_defaults(heading: str) -> dict[str, str]:
    """Return the column Default of a table of the reference, by key."""
    rows = rows_of(section(ROOT / "docs/config.md", heading))
    return {cells[0].strip("`"): cells[2] for cells in rows}


def literal(cell: str) -> object:
    """Parse a value that a cell shows as TOML."""
    value: object = tomllib.loads(f"value = {cell.strip('`')}")["value"]
    return value


def keys_in(value: object) -> set[str]:
    """Return the keys of all tables in a document."""
    match value:
        case dict():
            return set(value).union(*map(keys_in, value.values()))
        case list():
            return set().union(*map(keys_in, value))
    return set()


# -- commands --------------------------------------------------------------------------------------


def commands() -> dict[str, click.Command]:
    context = click.Context(program, info_name="tunnelkeeper")
    found = {name: program.get_command(context, name) for name in program.list_commands(context)}
    return {name: command for name, command in found.items() if command is not None}


each_command = pytest.mark.parametrize("name", commands())


@each_command
def test_a_command_is_documented_with_its_usage(name: str) -> None:
    command = commands()[name]
    pieces = command.collect_usage_pieces(click.Context(command))

    [usage, *_] = blocks_in(section(ROOT / "docs/commands.md", name), "")

    assert usage.strip() == " ".join(["tunnelkeeper", name, *pieces])


@each_command
def test_a_command_is_documented_with_all_its_options_and_their_defaults(name: str) -> None:
    check_options(commands()[name], section(ROOT / "docs/commands.md", name))


def test_the_global_options_are_documented() -> None:
    check_options(program, section(ROOT / "docs/commands.md", "Global options"), "-h", "--help")


def test_no_command_is_documented_that_does_not_exist() -> None:
    others = {
        "Global options",
        "Without a command",
        "Names",
        "JSON",
        "Exit codes",
        "Environment and files",
    }

    assert set(headings(ROOT / "docs/commands.md", 2)) - others == set(commands())


def test_the_exit_codes_are_documented() -> None:
    rows = rows_of(section(ROOT / "docs/commands.md", "Exit codes"))

    assert [int(cells[0].strip("`")) for cells in rows] == list(ExitCode)


def test_the_states_are_documented_in_their_order() -> None:
    shown = [cells[0].strip("`") for cells in rows_of(section(ROOT / "docs/commands.md", "status"))]

    assert [state for state in shown if not state.startswith("-")] == list(get_args(StateName))


def check_options(command: click.Command, text: str, *besides: str) -> None:
    """Check that a section lists the options of a command, with the defaults it shows."""
    rows = [cells for cells in rows_of(text) if cells[0].startswith("`-")]
    shown = {name: cells[1] for cells in rows for name in re.findall(r"`(--?[A-Za-z-]+)", cells[0])}
    options = [param for param in command.params if isinstance(param, click.Option)]
    assert set(shown) - set(besides) == {name for option in options for name in option.opts} - {
        "--help"
    }
    for option in options:
        if option.show_default:
            assert f"default `{option.default}`" in shown[option.opts[-1]], option.opts


# -- causes ----------------------------------------------------------------------------------------


def test_every_cause_has_its_section_in_the_order_of_the_code() -> None:
    *causes, _last = headings(ROOT / "docs/troubleshooting.md", 2)

    assert causes == list(Cause)


@pytest.mark.parametrize("cause", Cause)
def test_a_cause_is_explained_with_what_it_means_and_what_to_do(cause: Cause) -> None:
    text = section(ROOT / "docs/troubleshooting.md", cause)

    assert re.findall(r"^\*\*(.*?)\.\*\*", text, re.MULTILINE) == [
        "What it means",
        "How to find out",
        "What to do",
    ]


SELDOM = ("blocked", "degraded, tried every five minutes")


@pytest.mark.parametrize("cause", Cause)
def test_what_follows_a_cause_is_what_the_lifecycle_does(cause: Cause) -> None:
    overview = (ROOT / "docs/troubleshooting.md").read_text(encoding="utf-8")
    [follows] = [cells[2] for cells in rows_of(overview) if cells[0] == f"[{cause}](#{cause})"]

    assert (follows in SELDOM) == (cause in NEEDS_USER_CAUSES)
    assert (follows == f"retried within {NO_HANDSHAKE_MAX_DELAY:.0f} seconds") == (
        cause in NO_HANDSHAKE_CAUSES
    )


# -- every page ------------------------------------------------------------------------------------


@each_page
def test_every_toml_block_loads_as_a_config(page: Path) -> None:
    for text in blocks(page, "toml"):
        parse(text, page.name)


@each_page
def test_every_link_between_the_pages_leads_somewhere(page: Path) -> None:
    broken = [link for link in links(page) if not leads_somewhere(link, page)]

    assert broken == []


@each_page
def test_every_module_that_a_page_names_exists(page: Path) -> None:
    named = re.findall(r"`((?:[a-z_]+/)+[a-z_]+\.py)`", page.read_text(encoding="utf-8"))

    assert [
        name
        for name in named
        if not (ROOT / name).exists() and not (ROOT / "tunnelkeeper" / name).exists()
    ] == []


@each_page
def test_every_make_target_that_a_page_names_exists(page: Path) -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    named = re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(encoding="utf-8"), re.MULTILINE)

    assert [name for name in named if f"\n{name}:" not in makefile] == []


def test_each_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    rows = rows_of(section(ROOT / "CONTRIBUTING.md", "Dependencies"))

    assert sorted(cells[0] for cells in rows) == sorted(
        re.split(r"[<>=]", dependency)[0] for dependency in project["dependencies"]
    )

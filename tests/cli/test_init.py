"""`tunnelkeeper init`: the files, and the offer to import what the machine has."""

from __future__ import annotations

import json
import re
import tomllib
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.cli import init
from tunnelkeeper.config import load, parse_with_warnings
from tunnelkeeper.config.starter import HEADER, STARTER
from tunnelkeeper.importing import found_setups
from tunnelkeeper.importing.source_commands import Command, NotImportable, SourceCommand

if TYPE_CHECKING:
    from tests.cli.conftest import Tool
    from tunnelkeeper.importing.source_commands import Finding


def test_a_commented_file_and_its_schema_are_written(tool: Tool) -> None:
    done = tool("init")

    schema = tool.home / "tunnels.schema.json"
    assert (done.code, done.err) == (0, "")
    assert done.out.startswith(f"created {tool.config}\ncreated {schema}, which editors read\n")
    assert "tunnelkeeper add db me@relay.example.com -L" in done.out
    assert tool.config.read_text().startswith("#:schema ./tunnels.schema.json\n")
    assert tool.config.stat().st_mode & 0o777 == 0o600
    assert "tunnels" in json.loads(schema.read_text())["properties"]
    assert load(tool.config).tunnels == {}


def test_no_file_is_overwritten(tool: Tool) -> None:
    schema = tool.home / "tunnels.schema.json"
    schema.write_text("mine")
    assert tool("init").code == 0
    tool.config.write_text("# mine")
    done = tool("init")

    assert (done.code, done.out) == (2, "")
    assert "exists already\n  hint: `tunnelkeeper edit` opens it" in done.err
    assert (tool.config.read_text(), schema.read_text()) == ("# mine", "mine")
    tool.config.unlink()
    tool.config.symlink_to("nowhere")
    assert tool("init").code == 2


def test_the_examples_of_the_file_are_valid_without_their_signs() -> None:
    text = re.sub(r"^# (?=[\[a-z_]+\b.*[\]=])", "", STARTER, flags=re.MULTILINE)

    configuration, warnings = parse_with_warnings(text, "")
    assert set(tomllib.loads(text)) == {"tunnels", "hosts", "defaults"}
    assert (list(configuration.tunnels), warnings) == (["db"], ())
    assert HEADER in STARTER


def test_a_tunnel_can_be_added_to_the_new_file(tool: Tool) -> None:
    tool("init")

    assert tool("add", "db", "relay", "-D", "1080").code == 0
    assert tool.config.read_text().startswith(STARTER)


def command(*arguments: str, origin: str = "x.service") -> SourceCommand:
    return SourceCommand(Command("ssh", ("-N", *arguments)), origin, origin.partition(".")[0])


@pytest.fixture
def found(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Finding]]:
    """Replace the search of this machine, and let a person be at the terminal."""
    found: dict[str, list[Finding]] = {}
    monkeypatch.setattr(init, "is_interactive", lambda: True)

    def replace(name: str, function: str) -> None:
        monkeypatch.setattr(found_setups, function, lambda *_: found.get(name, []))

    replace("hosts", "find_ssh_config_hosts")
    replace("units", "find_unit_commands")
    replace("crontabs", "find_crontab_commands")
    replace("processes", "find_running_autossh")
    return found


@pytest.mark.usefixtures("ssh")
def test_tunnels_of_the_machine_are_offered_once_and_imported_on_request(
    tool: Tool, found: dict[str, list[Finding]], monkeypatch: pytest.MonkeyPatch
) -> None:
    unit = command("-D", "1080", "me@a.example", origin="proxy.service")
    found["hosts"] = [command("me@plain.example", origin="ssh_config, host plain")]
    found["units"] = [unit, NotImportable("bad.service", "it runs a shell")]
    found["crontabs"] = [command("-D", "1081", "me@b.example", origin="crontab -l, line 1")]
    found["processes"] = [command("-D", "1080", "me@a.example", origin="running process 7")]
    questions: list[str] = []

    def answer(question: str, *, default: bool) -> bool:
        assert default
        questions.append(question)
        return len(questions) == 1

    monkeypatch.setattr("click.confirm", answer)
    done = tool("init")

    assert done.code == 0
    assert questions == ["Import?", "Import?"]
    assert "1 tunnel found in systemd units:\n  proxy: me@a.example -D 1080  (proxy" in done.out
    assert "1 tunnel found in crontabs:" in done.out
    assert "cannot be imported: bad.service: it runs a shell\n" in done.err
    assert "added proxy: proxy.service" in done.out
    assert "still hold their tunnels: stop them first" in done.out
    assert "tunnelkeeper up --detach" in done.out
    assert list(load(tool.config).tunnels) == ["proxy"]


@pytest.mark.usefixtures("ssh")
def test_nothing_is_searched_on_request_and_nothing_asked_if_nothing_is_found(
    tool: Tool, found: dict[str, list[Finding]]
) -> None:
    assert "tunnelkeeper add db" in tool("init").out
    tool.config.unlink()
    found["units"] = [command("-D", "1080", "me@a.example")]

    assert "found in" not in tool("init", "--no-import").out


def test_without_ssh_the_file_is_written_all_the_same(
    tool: Tool, found: dict[str, list[Finding]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    found["units"] = [command("-D", "1080", "me@a.example")]
    done = tool("init")

    assert done.code == 0
    assert "nothing was searched for tunnels to import: ssh is not installed" in done.err

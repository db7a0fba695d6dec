"""The files that may change what ssh answers, compared with those that ssh says it reads."""

from __future__ import annotations

import asyncio
import os
import subprocess
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.requirements import require
from tunnelkeeper.core.configuration import Configuration, SupervisorOptions
from tunnelkeeper.sshconfig import HostLookup, Request, gather_facts
from tunnelkeeper.sshconfig import lookup as lookup_module
from tunnelkeeper.sshconfig.config_files import find_config_files
from tunnelkeeper.sshconfig.query_cache import MAX_AGE

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.sshconfig import Answer, Facts


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    """Return facts with a home of their own."""
    (tmp_path / ".ssh").mkdir()
    return replace(gather_facts(), home=str(tmp_path), environment={"SITE": "office"})


def write(path: Path, text: str) -> str:
    path.parent.mkdir(exist_ok=True, parents=True)
    path.write_text(text)
    return str(path)


def read_by_ssh(config: str) -> set[str]:
    """Return the files that ssh reports to read."""
    command = [require("ssh"), "-v", "-F", config, "-G", "host"]
    ran = subprocess.run(command, check=True, capture_output=True, text=True)
    start = "debug1: Reading configuration data "
    lines = [line.strip() for line in ran.stderr.splitlines()]
    return {line.removeprefix(start) for line in lines if line.startswith(start)}


def test_every_file_that_ssh_reads_is_found(tmp_path: Path, facts: Facts) -> None:
    inner = write(tmp_path / "inner", "User inner\n")
    write(tmp_path / "with space", "User space\n")
    write(tmp_path / "d" / "1.conf", f"Include {inner}\n")
    write(tmp_path / "d" / "2.conf", "User two\n")
    write(tmp_path / "d" / "readme", "not included\n")
    main = write(
        tmp_path / "main",
        f"# Include {tmp_path}/no\n"
        f"include={tmp_path}/d/*.conf\n"
        f'Host *\n\tINCLUDE "{tmp_path}/with space" {tmp_path}/missing # a comment\n',
    )

    found = set(find_config_files(main, facts))

    assert read_by_ssh(main) <= found
    assert found - read_by_ssh(main) == {f"{tmp_path}/d/*.conf", str(tmp_path / "missing")}


def test_missing_files_and_the_system_config_are_found(tmp_path: Path, facts: Facts) -> None:
    assert find_config_files(None, facts)[0] == str(tmp_path / ".ssh" / "config")
    assert "/etc/ssh/ssh_config" in find_config_files(None, facts)
    assert find_config_files(str(tmp_path / "none"), facts) == (str(tmp_path / "none"),)
    assert find_config_files(False, facts) == ()


def test_relative_paths_home_and_variables_are_expanded(tmp_path: Path, facts: Facts) -> None:
    folder = tmp_path / ".ssh"
    write(
        folder / "config",
        "Include site/${SITE} ~/own ~nobody-here/x ${UNSET}/x\nInclude sub/*/hosts\n",
    )
    site = write(folder / "site" / "office", "")
    own = write(tmp_path / "own", "")
    hosts = write(folder / "sub" / "a" / "hosts", "")

    found = find_config_files(None, facts)

    assert {site, own, hosts, str(folder / "sub" / "*" / "hosts")} <= set(found)


def test_a_file_in_a_block_that_does_not_apply_is_found(tmp_path: Path, facts: Facts) -> None:
    other = write(tmp_path / "other", "")
    main = write(tmp_path / "main", f"Host elsewhere\n  Include {other}\n")

    assert find_config_files(main, facts) == (main, other)


def test_files_that_include_themselves_or_cannot_be_read_end_the_search(
    tmp_path: Path, facts: Facts
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    main = tmp_path / "main"
    write(main, f"Include {main} {fifo} {tmp_path}\nInclude 'unbalanced\nInclude a\0/* b\0\n")

    assert find_config_files(str(main), facts) == (str(main), str(fifo), str(tmp_path))


async def no_query(request: Request) -> Answer:
    raise AssertionError(f"{request.host} is looked up")


async def test_a_lookup_finds_new_files_when_its_result_is_old_or_forgotten(
    tmp_path: Path, facts: Facts
) -> None:
    config, now = tmp_path / "config", 0.0
    supervisor = SupervisorOptions(ssh_config=str(config))
    lookup = HostLookup(Configuration("t.toml", supervisor), no_query, facts, lambda: now)
    assert await lookup.config_files() == (str(config),)
    config.write_text("Include /one\n")
    assert await lookup.config_files() == (str(config),)

    now = MAX_AGE
    assert await lookup.config_files() == (str(config), "/one")
    config.write_text("Include /two\n")
    lookup.forget()
    assert await lookup.config_files() == (str(config), "/two")


async def test_tunnels_that_start_together_share_one_search_that_a_dead_disk_does_not_hold_up(
    facts: Facts, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, searches = threading.Event(), []

    def hang(source: str, _facts: Facts) -> tuple[str, ...]:
        searches.append(source)
        release.wait()
        return (source,)

    monkeypatch.setattr(lookup_module, "find_config_files", hang)
    monkeypatch.setattr(lookup_module, "READ_TIMEOUT", 0.05)
    supervisor = SupervisorOptions(ssh_config="/net/config")
    lookup = HostLookup(Configuration("t.toml", supervisor), no_query, facts, lambda: 0.0)
    try:
        assert await asyncio.gather(*(lookup.config_files() for _ in range(20))) == [()] * 20
        lookup.forget()
        assert await lookup.config_files() == ()
        assert searches == ["/net/config"]
    finally:
        release.set()
    monkeypatch.setattr(lookup_module, "READ_TIMEOUT", 60)
    assert await lookup.config_files() == ("/net/config",)


async def test_a_lookup_without_a_usable_path_has_no_files(facts: Facts) -> None:
    supervisor = SupervisorOptions(ssh_config="~nobody-here/config")
    lookup = HostLookup(Configuration("t.toml", supervisor), no_query, facts, lambda: 0.0)

    assert await lookup.config_files() == ()

"""The places of the problems that `check` finds, and what it knows about paths and names."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.requirements import require
from tunnelkeeper.oneshot import check

if TYPE_CHECKING:
    from pathlib import Path

    from tests.oneshot.conftest import ConfigFile


def test_each_key_of_a_list_has_its_own_line(file: ConfigFile, tmp_path: Path, key: Path) -> None:
    missing, folder = tmp_path / "missing", tmp_path / "folder"
    folder.mkdir(mode=0o700)
    public = f"{key}.pub"

    problems = file.problems(
        "identity_files = [", f'  "{missing}",', f'  "{key}",', f'  "{folder}",', f'  "{public}",]'
    )

    at = [file.at_key(f"identity_files[{index}]", 10 + index) for index in range(4)]
    assert [problem.partition(": identity file ")[0] for problem in problems] == [
        at[0],
        at[2],
        at[3],
    ]
    assert problems[0].endswith(": no such file")
    assert "directory" in problems[1].lower()
    assert "public key" in problems[2]


@pytest.mark.parametrize(
    ("more", "place"),
    [
        ('[hosts.relay]\nidentity_files = "MISSING"\n', "10: hosts.relay.identity_files"),
        ("", "5: defaults.identity_files"),
    ],
)
def test_the_place_is_the_table_that_has_the_key(
    more: str, place: str, file: ConfigFile, tmp_path: Path
) -> None:
    more = more.replace("MISSING", str(tmp_path / "missing"))
    defaults = "" if more else f'identity_files = "{tmp_path / "missing"}"\n'
    file.path.write_text(
        f'[supervisor]\nssh_config = false\n[defaults]\nknown_hosts = "none"\n{defaults}'
        f'[tunnels.db]\nhost = "ann@relay"\nremote = "1:a:1"\n\n{more}'
    )

    problems, _ = check.check(str(file.path))

    [problem] = problems
    assert f"{problem.line}: {problem.key}" == place


def test_a_key_that_others_can_read_is_a_problem_even_with_an_agent(
    file: ConfigFile, key: Path
) -> None:
    key.chmod(0o644)
    agent = 'identity_agent = "/run/agent"'

    [problem] = file.problems(f'identity_files = "{key}"', agent)
    assert "permissions 0644" in problem


# -- socket paths and host names -----------------------------------------------------------------


@pytest.mark.parametrize(
    "spec",
    ["LONG:db:1", "8080:LONG", "LONG:LONG"],
)
@pytest.mark.parametrize(("kind", "option"), [("local", "-L"), ("remote", "-R")])
def test_a_socket_path_that_ssh_rejects_as_too_long_is_a_problem(
    kind: str, option: str, spec: str, file: ConfigFile
) -> None:
    long, longest = "/tmp/" + "x" * 103, "/tmp/" + "x" * 102

    for path, is_accepted in ((long, False), (longest, True)):
        written = spec.replace("LONG", path)
        ssh = subprocess.run(
            [require("ssh"), "-F", "none", "-G", option, written, "x"],
            capture_output=True,
            check=False,
        )
        problems, _ = (
            file.check(f'{kind} = "{written}"')
            if kind == "local"
            else file.check(more=f'[tunnels.other]\nhost = "relay"\nremote = "{written}"\n')
        )
        assert (ssh.returncode == 0) is is_accepted
        assert (problems == []) is is_accepted
        if not is_accepted:
            assert "a socket path has at most 107 bytes, this one has 108" in problems[0]
            assert f".{kind}: " in problems[0]


@pytest.mark.parametrize("path", ["~/NAME", "/tmp/%d/%d/NAME", "${TK_LONG}/NAME"])
def test_a_socket_path_that_is_too_long_after_its_expansion_is_a_problem(
    path: str, file: ConfigFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/tmp/" + "x" * 60)
    monkeypatch.setenv("TK_LONG", "/tmp/" + "x" * 60)
    name = "n" * (50 if path.startswith(("~", "$")) else 95)

    problems, _ = file.check(f'local = "{path.replace("NAME", name)}:db:1"')

    assert any("a socket path has at most 107 bytes" in problem for problem in problems)


@pytest.mark.parametrize("name", ["a..b", "10.0.0.256", f"{'x' * 64}.example"])
def test_a_host_name_that_cannot_exist_is_a_problem(name: str, file: ConfigFile) -> None:
    [problem] = file.problems(f'hostname = "{name}"')

    assert problem.startswith(f"{file.path}:9: tunnels.db.hostname: me@{name}:22: the host name ")
    with_proxy = file.problems(f'hostname = "{name}"', 'proxy_command = "nc %h %p"')
    assert with_proxy == [], "a proxy may know it"


def test_an_impossible_name_is_reported_at_the_key_that_names_the_host(file: ConfigFile) -> None:
    assert file.problems('jump = "a..b"')[0].startswith(
        f"{file.path}:9: tunnels.db.jump: me@a..b:22: the host name can never be resolved"
    )
    problems, _ = file.check(more='[tunnels.other]\nhost = "10.0.0.256"\nlocal = "1:a:1"\n')
    assert problems[0].startswith(f"{file.path}:10: tunnels.other.host: me@10.0.0.256:22: ")


def test_impossible_addresses_of_forwards_are_problems(file: ConfigFile) -> None:
    problems = file.problems('local = ["999.1.1.1:1:db:1", "2:db..x:1", "*:3:db:1"]')

    assert [problem.partition(": ")[2].partition(":")[0] for problem in problems] == [
        "tunnels.db.local[0]",
        "tunnels.db.local[1]",
    ]


def test_an_impossible_bind_address_is_a_problem(file: ConfigFile) -> None:
    [problem] = file.problems('bind_address = "1:2"')

    assert problem.startswith(f"{file.at_key('bind_address')}: bind_address 1:2: it is not an IPv6")

"""`check`: validation of a config file and the files it names, without connecting."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

import pytest

from tests.e2e.keys import make_key
from tests.requirements import require
from tunnelkeeper.net import thread_executor
from tunnelkeeper.net.regular_file import read_regular_file

if TYPE_CHECKING:
    from pathlib import Path

    from tests.oneshot.conftest import ConfigFile


def test_a_valid_file_yields_no_problems_and_no_warnings(file: ConfigFile, key: Path) -> None:
    assert file.check(f'identity_files = "{key}"') == ([], [])


def test_default_key_files_may_be_missing(file: ConfigFile) -> None:
    assert file.check() == ([], [])


def test_errors_of_the_file_end_the_check(file: ConfigFile) -> None:
    problems, warnings = file.check("prot = 22")

    assert problems == [
        f"{file.path}:9: tunnels.db.prot: unknown key\n  hint: did you mean 'port'?"
    ]
    assert warnings == []


def test_a_discouraged_setting_is_a_warning(file: ConfigFile) -> None:
    problems, warnings = file.check('host_key_policy = "no"')

    assert problems == []
    [warning] = warnings
    assert warning.startswith(f"{file.path}:9: tunnels.db.host_key_policy: ")


def test_a_configured_key_file_must_exist(file: ConfigFile, tmp_path: Path) -> None:
    missing = tmp_path / "missing"

    assert file.problems(f'identity_files = "{missing}"') == [
        f"{file.at_key('identity_files')}: identity file {missing}: no such file"
    ]


def test_a_configured_key_file_of_a_jump_host_must_exist(
    file: ConfigFile, tmp_path: Path, key: Path
) -> None:
    missing = tmp_path / "missing"
    bastion_table = f'[hosts.bastion]\nidentity_files = "{missing}"\n'

    problems, _ = file.check(f'identity_files = "{key}"', 'jump = "bastion"', more=bastion_table)

    assert problems == [
        (
            f"{file.path}:12: hosts.bastion.identity_files: me@bastion:22: "
            f"identity file {missing}: no such file"
        )
    ]


def test_a_private_key_in_the_agent_may_be_missing_on_disk(
    file: ConfigFile, key: Path, agent: Path
) -> None:
    key.unlink()  # the .pub file stays: ssh needs it for IdentitiesOnly with an agent

    assert file.problems(f'identity_files = "{key}"', f'identity_agent = "{agent}"') == []
    assert file.problems(f'identity_files = "{key}"', 'identity_agent = "none"') != []


def test_a_public_key_file_names_a_key_of_the_agent(
    file: ConfigFile, key: Path, agent: Path
) -> None:
    line = f'identity_files = "{key}.pub"'

    assert file.problems(line, f'identity_agent = "{agent}"') == []
    [problem] = file.problems(line, 'identity_agent = "none"')
    at = file.at_key("identity_files")
    assert problem.startswith(f"{at}: identity file {key}.pub: it is a public key, and the")
    assert f"name the private key in identity_files: {key}" in problem


def test_a_key_that_others_can_read_is_reported_with_the_remedy(
    file: ConfigFile, key: Path
) -> None:
    key.chmod(0o640)

    [problem] = file.problems(f'identity_files = "{key}"')

    at = file.at_key("identity_files")
    assert problem.startswith(f"{at}: identity file {key}: its permissions 0640")
    assert f"chmod 600 {key}" in problem


def test_a_key_with_a_passphrase_needs_a_source_only_if_nothing_may_be_asked(
    file: ConfigFile, tmp_path: Path
) -> None:
    locked = make_key(tmp_path / "locked", passphrase="secret words")
    lines = f'identity_files = "{locked}"', 'identity_agent = "none"'

    assert file.check(*lines) == ([], [])
    problems, [warning] = file.check(*lines, "batch_mode = true")
    assert problems == []
    assert f"identity file {locked}: it is protected by a passphrase, and batch_mode" in warning
    assert f"set passphrase_command, or unlock it for the agent: `ssh-add {locked}`" in warning
    command = 'passphrase_command = ["echo", "secret words"]'
    assert file.check(*lines, "batch_mode = true", command) == ([], [])


def test_a_key_in_an_agent_that_does_not_exist_is_a_warning(
    file: ConfigFile, tmp_path: Path, key: Path
) -> None:
    public = f"{make_key(tmp_path / 'other')}.pub"
    key.unlink()

    problems, warnings = file.check(
        f'identity_files = ["{public}", "{key}"]', 'identity_agent = "/nonexistent/agent"'
    )

    assert problems == []
    assert [warning.rpartition(", and ")[2] for warning in warnings] == [
        "there is no agent at /nonexistent/agent",
    ] * 2


def test_an_invalid_key_is_reported_once_for_all_its_tunnels(
    file: ConfigFile, tmp_path: Path
) -> None:
    broken = tmp_path / "broken"
    broken.write_text("not a key\n")
    broken.chmod(0o600)

    problems = file.problems(f'identity_files = ["{broken}", "{broken}"]')

    assert len(problems) == 1
    assert problems[0].startswith(f"{file.at_key('identity_files[0]')}: identity file {broken}: ")


def test_a_certificate_that_cannot_be_read_is_a_problem(
    file: ConfigFile, key: Path, tmp_path: Path
) -> None:
    missing = tmp_path / "missing-cert.pub"

    problems = file.problems(f'identity_files = "{key}"', f'certificate_files = "{missing}"')

    at = file.at_key("certificate_files", 10)
    assert problems == [f"{at}: certificate file {missing}: No such file or directory"]


@pytest.mark.parametrize("keyword", ["ciphers", "macs", "kex_algorithms", "host_key_algorithms"])
def test_a_list_without_supported_algorithms_is_a_problem(file: ConfigFile, keyword: str) -> None:
    assert file.problems(f'{keyword} = "rot13"') == [
        f"{file.at_key(keyword)}: none of the {keyword} asked for is supported: rot13"
    ]


def test_a_socket_in_a_missing_directory_is_a_problem(file: ConfigFile, tmp_path: Path) -> None:
    good, bad = tmp_path / "db.sock", tmp_path / "missing" / "db.sock"

    problems = file.problems(f'local = ["{good}:db:5432", "{bad}:db:5432"]')

    assert problems == [
        (
            f"{file.path}:9: tunnels.db.local[1]: {bad}:db:5432: "
            f"the directory {bad.parent} is missing or not writable"
        )
    ]


def test_a_socket_below_the_home_of_an_unknown_user_is_a_problem(file: ConfigFile) -> None:
    problems = file.problems('local = "~no-such-user/db.sock:db:5432"')

    forward = "~no-such-user/db.sock:db:5432"
    assert problems == [
        (
            f"{file.path}:9: tunnels.db.local: {forward}: "
            "the directory ~no-such-user is missing or not writable"
        )
    ]


def test_a_malformed_line_of_known_hosts_is_a_warning(file: ConfigFile) -> None:
    file.known_hosts.write_text("relay ssh-ed25519 not-base64\n")

    problems, warnings = file.check()

    assert problems == []
    [warning] = warnings
    assert warning.startswith(
        f"{file.path}:5: defaults.known_hosts: {file.host}: {file.known_hosts}:1: "
    )


def test_a_host_that_ssh_cannot_look_up_is_a_problem(file: ConfigFile, tmp_path: Path) -> None:
    require("ssh")
    ssh_config = tmp_path / "ssh_config"
    ssh_config.write_text("Host relay\n  Prot 22\n")

    problems, _ = file.check(ssh_config=f'"{ssh_config}"')

    [problem] = problems
    assert problem.startswith(f"{file.where}: ssh cannot look relay up: ")
    assert "prot" in problem.lower()
    assert "\n  hint: ssh -G" in problem


def test_an_unsupported_directive_of_ssh_config_is_a_warning(
    file: ConfigFile, tmp_path: Path
) -> None:
    require("ssh")
    ssh_config = tmp_path / "ssh_config"
    ssh_config.write_text("Host relay\n  Tunnel yes\n")

    assert file.check(ssh_config=f'"{ssh_config}"') == (
        [],
        [f"{file.where}: relay: Tunnel of ssh_config is not supported"],
    )


FORWARDS = """\
Host relay
  LocalForward 8080 intranet:80
  DynamicForward /tmp/socks
  RemoteForward 2202 localhost:22
"""


def test_a_forward_of_ssh_config_that_no_tunnel_has_is_a_warning(
    file: ConfigFile, tmp_path: Path
) -> None:
    require("ssh")
    ssh_config = tmp_path / "ssh_config"
    ssh_config.write_text(FORWARDS)
    other = '[tunnels.other]\nhost = "relay"\nremote = "2202:localhost:22"\n'

    problems, warnings = file.check(
        'socks = "/tmp/socks"', ssh_config=f'"{ssh_config}"', more=other
    )

    assert problems == []
    text = "relay: the local forward localhost:8080:intranet:80 of ssh_config is not used"
    assert [warning for warning in warnings if warning.startswith(f"{file.where}: ")] == [
        f"{file.where}: {text}\n  hint: add it to `local`, or remove it from ssh_config"
    ]


@pytest.mark.parametrize(("listen", "expected"), [("8080", True), ("*:8080", False)])
def test_gateway_ports_of_ssh_config_is_a_warning_for_a_local_port(
    file: ConfigFile, listen: str, expected: bool, tmp_path: Path
) -> None:
    require("ssh")
    ssh_config = tmp_path / "ssh_config"
    ssh_config.write_text("GatewayPorts yes\n")

    _, warnings = file.check(f'local = "{listen}:a:1"', ssh_config=f'"{ssh_config}"')

    assert any("despite GatewayPorts" in warning for warning in warnings) is expected


@pytest.mark.parametrize("value", ["+rot13", "aes256-ctr,rot13", "^rot13,aes256-ctr", "-rot13"])
@pytest.mark.parametrize("keyword", ["ciphers", "macs", "kex_algorithms", "host_key_algorithms"])
def test_an_algorithm_without_effect_is_a_warning(
    file: ConfigFile, keyword: str, value: str
) -> None:
    known = {"ciphers": "aes256-ctr", "macs": "hmac-md5", "host_key_algorithms": "ssh-dss"}
    name = known.get(keyword, "diffie-hellman-group1-sha1")

    assert file.check(f'{keyword} = "{value.replace("aes256-ctr", name)}"') == (
        [],
        [f"{file.path}:9: tunnels.db.{keyword}: not supported: rot13"],
    )


def test_without_ssh_the_fallback_reads_ssh_config(
    file: ConfigFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ssh_config = tmp_path / "ssh_config"
    ssh_config.write_text("Host relay\n  Port 2222\n")

    problems, _ = file.check('ciphers = "rot13"', ssh_config=f'"{ssh_config}"')

    assert problems == [
        (
            f"{file.path}:9: tunnels.db.ciphers: me@relay:2222: "
            "none of the ciphers asked for is supported: rot13"
        )
    ]


def test_without_ssh_the_directives_of_a_distribution_cause_no_warning(
    file: ConfigFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ssh_config = tmp_path / "ssh_config"
    ssh_config.write_text(
        "Include /no/such/folder/*.conf\nHost *\n    SendEnv LANG LC_*\n    HashKnownHosts yes\n"
        "    GSSAPIAuthentication yes\n"
    )

    assert file.check(ssh_config=f'"{ssh_config}"') == ([], [])


def test_without_ssh_a_directive_that_needs_ssh_is_a_warning(
    file: ConfigFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ssh_config = tmp_path / "ssh_config"
    ssh_config.write_text("LocalForward 8080 intranet:80\nCanonicalizeHostname yes\n")

    problems, [forward, canonical] = file.check(ssh_config=f'"{ssh_config}"')

    assert problems == []
    assert forward == f"{file.where}: relay: LocalForward of ssh_config is not supported"
    assert canonical == (
        f"{file.where}: relay: CanonicalizeHostname of ssh_config needs ssh (openssh-client), "
        "which is not installed"
    )


def test_without_ssh_a_line_that_only_ssh_can_read_is_a_problem(
    file: ConfigFile, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    ssh_config = tmp_path / "ssh_config"
    ssh_config.write_text("Match sessiontype shell\n")

    [problem], _ = file.check(ssh_config=f'"{ssh_config}"')

    assert f"{ssh_config} line 1" in problem
    assert "ssh itself would read it" in problem


def test_files_on_a_disk_that_hangs_are_a_problem_and_do_not_stop_the_check(
    file: ConfigFile, key: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release, hanging = threading.Event(), str(key)
    reads: list[str] = []

    def read(path: str, limit: int = 0) -> bytes:
        reads.append(path)
        if path == hanging:
            release.wait()
        return read_regular_file(path, limit)

    for module in ("public_keys", "private_keys"):
        monkeypatch.setattr(f"tunnelkeeper.ssh.auth.{module}.read_regular_file", read)
    monkeypatch.setattr(thread_executor, "READ_TIMEOUT", 0.2)
    second = '[tunnels.two]\nhost = "relay"\nremote = "2202:localhost:22"\n'
    third = '[tunnels.three]\nhost = "relay"\nidentity_files = "/no"\nsocks = "1080"\n'
    line = f'identity_files = "{key}"\n'
    try:
        problems, _ = file.check(line.strip(), more=second + line + third)
    finally:
        release.set()

    text = "me@relay:22: its files were not read within 0.2 s; its file system may hang"
    assert [problem.partition(": ")[2] for problem in problems] == [
        f"tunnels.db: {text}",
        f"tunnels.two: {text}",
        "tunnels.three.identity_files: me@relay:22: identity file /no: no such file",
    ]
    assert reads.count(hanging) == 1

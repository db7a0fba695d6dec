"""`tunnelkeeper show`: values in effect, and their origins. It asks the real ssh."""

from __future__ import annotations

import json
import tomllib
from typing import TYPE_CHECKING

import pytest

from tunnelkeeper.config import parse
from tunnelkeeper.config.resolved_text import format_resolved, to_json_values
from tunnelkeeper.config.schema import BACKOFF_KEYS, HOST_KEYS, POLICY_KEYS
from tunnelkeeper.core.resolved_settings import Origin, Setting
from tunnelkeeper.oneshot.show import LookupFailedError, UnknownTunnelError, show

if TYPE_CHECKING:
    from pathlib import Path

    from tunnelkeeper.core.resolved_settings import ResolvedTunnel

pytestmark = pytest.mark.usefixtures("ssh")

SSH_CONFIG = """\
Host relay
  HostName relay.example.com
  User tunnel
  ProxyJump you@bastion
  IdentityFile /keys/%h
  RekeyLimit 1G 1h
  StrictHostKeyChecking accept-new
Host bastion
  Port 2200
Host *
  ServerAliveInterval 33
"""
TOML = """\
[supervisor]
ssh_config = "SSH_CONFIG"
[defaults]
hold_timeout = "20s"
backoff.max = "2m"
compression = true
[hosts.bastion]
connect_timeout = "7s"
[tunnels.db]
host = "relay:2222"
local = ["5432:db.internal:5432"]
on_up = "logger up"
channel_timeout = "direct-tcpip=5m"
backoff.initial = 2
[tunnels.direct]
host = "me@web"
hostname = "10.0.0.1"
jump = []
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "ssh_config").write_text(SSH_CONFIG)
    path = tmp_path / "tunnels.toml"
    path.write_text(TOML.replace("SSH_CONFIG", str(tmp_path / "ssh_config")))
    return path


def line_of(config: Path, text: str) -> int:
    return config.read_text().splitlines().index(text) + 1


def by_key(settings: tuple[Setting, ...]) -> dict[str, tuple[object, str]]:
    return {each.key: (each.value, str(each.origin)) for each in settings}


def settings_of(config: Path, name: str) -> dict[str, tuple[object, str]]:
    return by_key(show(str(config), name).settings)


def test_each_value_has_its_origin(config: Path) -> None:
    shown = settings_of(config, "db")

    def at(text: str) -> str:
        return f"tunnels.toml:{line_of(config, text)}"

    assert shown["host"] == ("relay:2222", at('host = "relay:2222"'))
    assert shown["port"] == (2222, at('host = "relay:2222"'))
    assert shown["local"] == (["5432:db.internal:5432"], at('local = ["5432:db.internal:5432"]'))
    assert shown["channel_timeout"][1] == at('channel_timeout = "direct-tcpip=5m"')
    assert shown["hold_timeout"] == ("20s", at('hold_timeout = "20s"'))
    assert shown["compression"] == (True, at("compression = true"))
    assert shown["backoff.max"] == (120, at('backoff.max = "2m"'))
    assert shown["backoff.initial"] == (2, at("backoff.initial = 2"))
    assert shown["backoff.jitter"] == (0.5, "default")
    assert shown["hostname"] == ("relay.example.com", "ssh_config")
    assert shown["user"] == ("tunnel", "ssh_config")
    assert shown["jump"] == (["you@bastion"], "ssh_config")
    assert shown["identity_files"] == (["/keys/relay.example.com"], "ssh_config")
    assert shown["host_key_policy"] == ("accept-new", "ssh_config")
    assert shown["keepalive_interval"] == (33, "ssh_config")
    assert shown["rekey_limit"][1] == "ssh_config"
    assert shown["keepalive_count_max"] == (3, "default")
    assert shown["gate_time"] == (30, "default")
    assert "tag" not in shown
    assert "on_down" not in shown


def test_a_jump_host_is_shown_with_its_own_settings(config: Path) -> None:
    [host] = show(str(config), "db").jump_hosts
    shown = by_key(host.settings)

    assert (host.name, host.alias) == ("you@bastion", "bastion")
    assert shown["port"] == (2200, "ssh_config")
    assert shown["user"][0] == "you"
    assert shown["connect_timeout"] == (7, f"tunnels.toml:{line_of(config, '[hosts.bastion]') + 1}")


def test_a_tunnel_overrides_ssh_config_and_the_host_names_the_user(config: Path) -> None:
    shown = settings_of(config, "direct")
    first = line_of(config, "[tunnels.direct]")

    assert shown["user"] == ("me", f"tunnels.toml:{first + 1}")
    assert shown["hostname"] == ("10.0.0.1", f"tunnels.toml:{first + 2}")
    assert shown["jump"] == ([], f"tunnels.toml:{first + 3}")
    assert shown["port"] == (22, "default")


def text_of(tunnel: ResolvedTunnel, ssh_config: str = "false") -> str:
    return f"[supervisor]\nssh_config = {ssh_config}\n{format_resolved(tunnel)}"


@pytest.mark.parametrize("name", ["db", "direct"])
def test_what_is_shown_is_a_config_file_with_the_same_values(
    config: Path, tmp_path: Path, name: str
) -> None:
    before = show(str(config), name)
    copy = tmp_path / "copy.toml"
    copy.write_text(text_of(before))

    again = show(str(copy), name)

    changed = {"host_key_alias"}
    for one, other in zip(before.settings, again.settings, strict=True):
        assert one.key == other.key
        if one.key not in changed:
            assert (one.key, one.value) == (other.key, other.value)
    parse(text_of(before), "")


def test_values_of_the_file_are_aligned_and_commented(config: Path) -> None:
    lines = format_resolved(show(str(config), "db")).splitlines()

    assert lines[:2] == [
        "# The tunnel db as it is in effect, and where each value comes from.",
        f"# The file is {config}",
    ]
    assert any(line.startswith("# port = 2222 ") for line in lines)
    assert any(line.startswith("hostname = ") and line.endswith("  # ssh_config") for line in lines)


def test_the_json_has_value_and_origin_of_each_key(config: Path) -> None:
    values = json.loads(json.dumps(to_json_values(show(str(config), "db"))))

    assert values["name"] == "db"
    assert values["settings"]["port"] == {
        "value": 2222,
        "origin": {
            "kind": "file",
            "file": str(config),
            "line": line_of(config, 'host = "relay:2222"'),
        },
    }
    assert values["settings"]["user"]["origin"] == {
        "kind": "ssh_config",
        "file": None,
        "line": None,
    }
    assert [each["name"] for each in values["jump_hosts"]] == ["you@bastion"]


def test_every_key_that_is_set_is_shown(tmp_path: Path) -> None:
    samples = {
        "port": "22", "jump": '["other"]', "identities_only": "true", "hash_known_hosts": "true",
        "check_host_ip": "true", "host_key_policy": '"strict"', "address_family": '"inet"',
        "compression": "true", "required_rsa_size": "2048", "permit_remote_open": '"a:1"',
        "rekey_limit": '"1G"', "ip_qos": '"cs1"', "channel_timeout": '"session=5m"',
        "stream_local_bind_unlink": "true", "stream_local_bind_mask": '"0177"',
        "connect_timeout": "5", "keepalive_interval": "5", "keepalive_count_max": "2",
        "batch_mode": "true", "number_of_password_prompts": "1", "pubkey_authentication": "true",
        "preferred_authentications": '"password"', "password_authentication": "true",
        "kbd_interactive_authentication": "false", "add_keys_to_agent": '"confirm 8h"',
        "update_host_keys": '"ask"', "keyring": "true",
        "tcp_keepalive": "false", "known_hosts_command": '"/bin/true"', "ciphers": '"aes128-ctr"',
    }  # fmt: skip
    algorithms = ("macs", "kex_algorithms", "host_key_algorithms", "pubkey_accepted_algorithms")
    samples |= dict.fromkeys((*algorithms, "ca_signature_algorithms"), '"+ssh-ed25519"')
    # proxy_command excludes jump; older versions of ssh know no tag.
    keys = [key for key in HOST_KEYS if key not in {"proxy_command", "tag"}]
    text = '[supervisor]\nssh_config = false\n[tunnels.all]\nhost = "h"\n'
    valid = []
    for key in keys:
        line = f"{key} = {samples.get(key, chr(34) + '/x' + chr(34))}\n"
        if key in {"hostname", "user", "bind_address", "bind_interface", "host_key_alias"}:
            line = f'{key} = "x"\n'
        valid.append(line)
    path = tmp_path / "all.toml"
    path.write_text(text + "".join(valid))

    shown = settings_of(path, "all")

    for number, key in enumerate(keys, 5):
        assert shown[key][1] == f"all.toml:{number}", key
    assert set(POLICY_KEYS) - {"on_up", "on_down", "groups", "backoff"} <= set(shown)
    assert {f"backoff.{key}" for key in BACKOFF_KEYS} <= set(shown)
    tomllib.loads(format_resolved(show(str(path), "all")))


def test_an_unknown_name_and_a_failed_lookup_are_errors(config: Path) -> None:
    with pytest.raises(UnknownTunnelError) as raised:
        show(str(config), "dbb")
    assert raised.value.names == ("db", "direct")
    config.with_name("ssh_config").write_text("Nonsense yes\n")
    with pytest.raises(LookupFailedError, match="ssh cannot look"):
        show(str(config), "db")


def test_an_origin_without_a_line_is_the_file() -> None:
    assert str(Origin("file", "/a/tunnels.toml")) == "tunnels.toml"

"""Which relay the commands mean: its config file, and the folders of its socket."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from tests.control.fakes import running_server
from tunnelkeeper import paths
from tunnelkeeper.cli.relay import command
from tunnelkeeper.cli.relay_instance import config_of, connect, default_config, instance_for
from tunnelkeeper.cli.settings import CommandError, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator


def test_a_relay_toml_beside_tunnels_toml_is_used_if_there_is_no_other(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path)}
    current, former = paths.relay_config_path(env), paths.config_path(None, env)
    former = former.with_name("relay.toml")
    assert default_config(env) == current

    former.parent.mkdir(parents=True)
    former.touch()
    assert default_config(env) == former

    current.parent.mkdir(parents=True)
    current.touch()
    assert default_config(env) == current


@pytest.fixture
def runtime() -> Iterator[Path]:
    """Return a folder with a short path, as the path of a socket has to be."""
    with TemporaryDirectory(prefix="tk", dir="/tmp") as folder:
        yield Path(folder)


@pytest.fixture
def system_folder(runtime: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = runtime / "system"
    folder.mkdir(0o700)
    monkeypatch.setattr(paths, "RELAY_RUNTIME_FOLDER", folder)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(runtime))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(runtime / "config"))
    return folder


def test_the_config_file_of_the_system_is_used_if_there_is_no_other(
    runtime: Path, system_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "RELAY_SYSTEM_FOLDER", system_folder)
    own = runtime / "config" / "tunnelkeeper-relay" / "relay.toml"
    assert config_of(Settings(), None) == (own, False)

    (system_folder / "relay.toml").touch()
    assert config_of(Settings(), None) == (system_folder / "relay.toml", True)
    assert config_of(Settings(), str(runtime / "x.toml")) == (runtime / "x.toml", True)

    own.parent.mkdir(parents=True)
    own.touch()
    assert config_of(Settings(), None) == (own, False)


def test_relay_check_reads_the_config_file_of_the_system(
    system_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(paths, "RELAY_SYSTEM_FOLDER", system_folder)
    (system_folder / "relay.toml").write_text("listen = 1\n")
    done = CliRunner().invoke(command, ["check"], obj=Settings(), standalone_mode=False)

    assert done.return_value == 2
    assert f"{system_folder}/relay.toml:1: listen" in done.output


@pytest.mark.parametrize("is_named", [True, False])
def test_a_relay_of_the_system_is_found_in_its_folder(
    runtime: Path, system_folder: Path, is_named: bool
) -> None:
    config = str(runtime / "relay.toml") if is_named else None
    instance = instance_for(Settings(), config)
    assert instance.socket.parent == runtime / "tunnelkeeper-relay"
    with pytest.raises(CommandError, match="no relay is running"):
        connect(Settings(), config, 5)

    with running_server(system_folder / instance.socket.name), connect(Settings(), config, 5) as it:
        assert it.path.parent == system_folder
        it.version()


def test_a_relay_of_an_earlier_version_is_found_in_the_folder_of_the_supervisor(
    runtime: Path, system_folder: Path
) -> None:
    assert system_folder.exists()
    former = runtime / "tunnelkeeper"
    former.mkdir(0o700)

    with running_server(former / "relay.sock"), connect(Settings(), None, 5) as client:
        assert client.path.parent == former
        client.version()

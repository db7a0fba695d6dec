"""The Containerfile, and the examples that run the image, agree with each other and the program."""

from __future__ import annotations

import re
import tomllib

import pytest

from tests.imports import ROOT
from tunnelkeeper import paths
from tunnelkeeper.config.load import parse

CONTAINERFILE = (ROOT / "packaging/Containerfile").read_text()
COMPOSE = (ROOT / "examples/compose.yaml").read_text()
KUBERNETES = (ROOT / "examples/kubernetes.yaml").read_text()
HEALTH = "tunnelkeeper status >/dev/null; test $? -le 1"


def variables() -> dict[str, str]:
    """Return the environment of the image."""
    return dict(re.findall(r"^(?:ENV|   ) ([A-Z_]+)=(\S+)", CONTAINERFILE, re.MULTILINE))


def test_the_program_finds_what_the_examples_mount() -> None:
    config = str(paths.config_path(None, variables()))

    assert f":{config}:ro" in COMPOSE
    assert f"mountPath: {config}\n" in KUBERNETES
    assert f":{variables()['HOME']}/.ssh/id_ed25519:ro" in COMPOSE
    assert f"mountPath: {variables()['HOME']}/.ssh/id_ed25519\n" in KUBERNETES


def test_all_that_is_written_is_in_a_folder_that_every_container_has() -> None:
    environment = variables()

    assert str(paths.socket_path(None, environment)).startswith("/dev/shm/")
    assert str(paths.claims_folder(environment)).startswith("/dev/shm/")


def test_the_image_runs_as_the_user_that_the_deployment_demands() -> None:
    [user] = re.findall(r"^USER (\d+):\1$", CONTAINERFILE, re.MULTILINE)

    assert f"runAsUser: {user}\n" in KUBERNETES
    assert f"fsGroup: {user} " in KUBERNETES
    assert f"chown {user} " in COMPOSE


def test_the_root_is_read_only_and_there_are_no_capabilities() -> None:
    services = COMPOSE.count("image: tunnelkeeper")

    assert COMPOSE.count("read_only: true") == COMPOSE.count("cap_drop: [ALL]") == services == 2
    assert COMPOSE.count('security_opt: ["no-new-privileges:true"]') == services
    assert "readOnlyRootFilesystem: true" in KUBERNETES
    assert 'drop: ["ALL"]' in KUBERNETES
    assert "runAsNonRoot: true" in KUBERNETES


def test_health_is_that_the_supervisor_answers_and_not_that_servers_do() -> None:
    assert HEALTH.replace("null;", "null 2>&1;") in CONTAINERFILE
    assert KUBERNETES.count(HEALTH) == 2


def test_the_image_copies_only_what_the_ignore_file_lets_through() -> None:
    copied = re.findall(r"^COPY (?!--from)(.*) \S+$", CONTAINERFILE, re.MULTILINE)
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines()}

    for name in " ".join(copied).split():
        assert name.partition("/")[0] in allowed
        assert (ROOT / name).exists()


def test_the_config_file_of_the_deployment_is_valid() -> None:
    [block] = re.findall(r"tunnels\.toml: \|\n((?:    .*\n)+)", KUBERNETES)
    text = "".join(line[4:] for line in block.splitlines(keepends=True))

    assert [*tomllib.loads(text)["tunnels"]] == ["db"]
    parse(text, "tunnels.toml")


@pytest.mark.parametrize("script", ["image-check.sh"])
def test_the_check_of_the_image_uses_its_health_check(script: str) -> None:
    text = (ROOT / "packaging" / script).read_text()
    [health] = re.findall(r"^health='(.*)'$", text, re.MULTILINE)

    assert health in CONTAINERFILE

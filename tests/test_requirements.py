"""The lock files pin what pyproject.toml needs, with hashes, in versions that it accepts."""

from __future__ import annotations

import re
import tomllib
from typing import TYPE_CHECKING

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.imports import ROOT
from tunnelkeeper.ssh.fastpath.connection import TESTED_VERSIONS

if TYPE_CHECKING:
    from collections.abc import Iterable

PINNED = re.compile(r"^([A-Za-z0-9._-]+)==(\S+)", re.MULTILINE)
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
RUN = PROJECT["dependencies"]
DEVELOPMENT = [*RUN, *PROJECT["optional-dependencies"]["dev"]]


def written(name: str) -> list[str]:
    """Return the requirements of a file that is written by hand."""
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    return [line for line in lines if not line.startswith("#")]


def pinned(name: str) -> dict[str, str]:
    """Return the versions in a lock file by the normal form of their names."""
    found = PINNED.findall((ROOT / "requirements" / name).read_text())
    return {canonicalize_name(package): version for package, version in found}


@pytest.mark.parametrize(
    ("lock", "requirements"),
    [
        ("run.lock", RUN),
        ("dev.lock", [*DEVELOPMENT, *written("build.in")]),
        ("build.lock", written("build.in")),
        ("dist.lock", written("dist.in")),
        ("image.lock", written("image.in")),
    ],
)
def test_a_lock_file_has_every_requirement_in_an_accepted_version(
    lock: str, requirements: Iterable[str]
) -> None:
    versions = pinned(lock)

    for requirement in map(Requirement, requirements):
        version = versions.get(canonicalize_name(requirement.name))
        assert version is not None, f"{requirement.name} is not in {lock}; run `make lock`"
        assert requirement.specifier.contains(version), f"{requirement}, {version}: `make lock`"


@pytest.mark.parametrize("lock", ["run.lock", "dev.lock", "build.lock", "dist.lock", "image.lock"])
def test_every_version_in_a_lock_file_has_a_hash(lock: str) -> None:
    text = (ROOT / "requirements" / lock).read_text()
    entries = re.split(r"\n(?=\S)", text.strip())

    assert len(entries) == len(pinned(lock)) > 0
    assert all("--hash=sha256:" in entry for entry in entries)


def test_the_tests_run_with_what_the_program_runs_with() -> None:
    assert pinned("run.lock").items() <= pinned("dev.lock").items()


def test_the_locked_version_of_asyncssh_is_a_tested_one_that_the_docs_name() -> None:
    version = pinned("run.lock")["asyncssh"]

    assert version in TESTED_VERSIONS
    for tested in TESTED_VERSIONS:
        assert f"asyncssh {tested}" in (ROOT / "SECURITY.md").read_text()

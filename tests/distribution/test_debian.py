from __future__ import annotations

import re
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import click
import pytest

import tunnelkeeper
from distribution.debian import (
    COMPLETIONS,
    PROGRAMS,
    Package,
    control,
    units,
    write_completions,
)
from distribution.environment_files import SCRIPT, SINGLE_FILE_SCRIPT
from distribution.licenses import copyright_file
from distribution.site_packages import Platform
from tests.imports import ROOT
from tunnelkeeper.cli.completion_script import completion_script

PACKAGE = Package("3.11", "amd64", "1", "A <a@example.org>", datetime.fromtimestamp(0, UTC))
METADATA = """\
Metadata-Version: 2.4
Name: borrowed
Version: 1.2
License-Expression: BSD-3-Clause
"""


def test_the_package_depends_on_the_python_that_its_modules_are_for() -> None:
    text = control(PACKAGE, 100)

    assert "python3 (>= 3.11~), python3 (<< 3.12~)" in text
    assert "libc6 (>= 2.28)" in text
    assert "Version: 0.1.0-1\n" in text
    assert "@" not in text.replace("a@example.org", "")


def test_the_completion_of_both_programs_is_packaged_for_every_shell(tmp_path: Path) -> None:
    site_packages = tmp_path / PACKAGE.site_packages
    site_packages.mkdir(parents=True)
    for module in (click, tunnelkeeper):  # what the scripts are made with, and nothing else
        folder = Path(str(module.__file__)).parent
        (site_packages / folder.name).symlink_to(folder)

    write_completions(PACKAGE, tmp_path)

    for shell, name in COMPLETIONS.items():
        for program in PROGRAMS:
            path = tmp_path / name.format(program)
            assert path.read_text() == completion_script(shell, program)


def test_all_units_start_the_installed_program() -> None:
    commands = re.findall(r"^Exec(?:Start|Reload)=(\S+)", "\n".join(units().values()), re.MULTILINE)

    assert set(commands) == {"/usr/bin/tunnelkeeper"}


def test_units_of_the_system_are_those_that_documents_and_scripts_name() -> None:
    names = {name.rpartition("/")[2] for name in units() if name.startswith("lib/systemd/system/")}
    scripts = "".join(
        (ROOT / "packaging/debian" / name).read_text() for name in ("postinst", "prerm", "postrm")
    )

    assert names == {
        "tunnelkeeper.service",
        "tunnelkeeper-relay.service",
        "tunnelkeeper-relay.socket",
    }
    assert all(scripts.count(name) >= 3 for name in names)


@pytest.mark.parametrize(
    "script",
    [
        "debian/postinst",
        "debian/prerm",
        "debian/postrm",
        "deb-check.sh",
        "deb-check-inside.sh",
        "zipapp-check.sh",
    ],
)
def test_a_script_is_valid_for_sh(script: str) -> None:
    path = ROOT / "packaging" / script

    subprocess.run(["sh", "-n", str(path)], check=True)
    assert path.stat().st_mode & 0o111


@pytest.mark.parametrize("script", [SCRIPT.format(python="/x"), SINGLE_FILE_SCRIPT])
def test_the_script_of_an_environment_is_valid_python(script: str) -> None:
    compile(script, "script", "exec")


def test_the_copyright_file_has_each_package_with_its_license(tmp_path: Path) -> None:
    info = tmp_path / "borrowed-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(METADATA)
    (info / "LICENSE.txt").write_text("Copyright (c) 2020 Bo Rower\n\nDo as you please.\n")
    (info / "RECORD").write_text("borrowed/__init__.py,,\nborrowed-1.2.dist-info/RECORD,,\n")

    text = copyright_file((ROOT / "LICENSE").read_text(), tmp_path, "usr/lib/x")

    assert "Files: usr/lib/x/borrowed/* usr/lib/x/borrowed-1.2.dist-info/*\n" in text.replace(
        "borrowed-1.2.dist-info/* usr/lib/x/borrowed/*",
        "borrowed/* usr/lib/x/borrowed-1.2.dist-info/*",
    )
    assert "Copyright: 2020 Bo Rower\nLicense: borrowed-license\n" in text
    assert "Comment: borrowed 1.2, BSD-3-Clause" in text
    assert "License: borrowed-license\n Copyright (c) 2020 Bo Rower\n .\n Do as you please." in text
    assert "Permission is hereby granted" in text


def test_wheels_are_chosen_for_the_platform_and_nothing_is_compiled() -> None:
    options = Platform("3.12", "aarch64").pip_options()

    assert {"--only-binary=:all:", "manylinux_2_28_aarch64", "manylinux2014_aarch64"} <= {*options}
    assert options[options.index("--python-version") + 1] == "3.12"
    assert not [option for option in options if option.endswith("_2_29_aarch64")]
    assert Platform("3.12", "aarch64").tag == "cp312-aarch64"

"""`python -m distribution.debian WHEEL`: writes the Debian package, with dpkg-deb and no debhelper.

The package has an environment of its own in /usr/lib/tunnelkeeper: the packages of
requirements/run.lock, which are checked by hash, and Debian's Python. It starts no service.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from distribution.environment_files import SCRIPT, pyvenv_cfg
from distribution.licenses import copyright_file
from distribution.site_packages import NEWEST_GLIBC, Platform, fill
from tunnelkeeper import __version__
from tunnelkeeper.core.forward_spec import TcpAddress
from tunnelkeeper.systemd.unit_templates import UnitKind, UnitOptions, unit_files

ROOT = Path(__file__).parents[1]
TEMPLATES = ROOT / "packaging" / "debian"
HOME = "usr/lib/tunnelkeeper"
DOC = "usr/share/doc/tunnelkeeper"
PROGRAMS = ("tunnelkeeper", "tunnelkeeper-autossh")
PROCESSORS = {"amd64": "x86_64", "arm64": "aarch64"}
MAINTAINER = "tunnelkeeper maintainers <security@example.org>"
COMPLETIONS = {
    "bash": "usr/share/bash-completion/completions/{}",
    "zsh": "usr/share/zsh/vendor-completions/_{}",
    "fish": "usr/share/fish/vendor_completions.d/{}.fish",
}
"""The file of a program's completion, by shell."""


@dataclass(frozen=True, slots=True)
class Package:
    """What is built.

    python: the version of Debian's Python as "3.11". architecture: Debian's name, such as amd64.
    revision: of the package, after the version of the program. time: of its files, UTC.
    """

    python: str
    architecture: str
    revision: str
    maintainer: str
    time: datetime

    @property
    def version(self) -> str:
        """Return Debian's version of the package."""
        return f"{__version__}-{self.revision}"

    @property
    def file_name(self) -> str:
        """Return the name of the package's file."""
        return f"tunnelkeeper_{self.version}_{self.architecture}.deb"

    @property
    def site_packages(self) -> str:
        """Return the folder of the Python packages, below the root."""
        return f"{HOME}/lib/python{self.python}/site-packages"


def build(package: Package, wheel: Path, folder: Path) -> Path:
    """Write the package into a folder and return its path."""
    with tempfile.TemporaryDirectory(prefix="tunnelkeeper-deb-") as temporary:
        root = Path(temporary) / "root"
        root.mkdir(mode=0o755)
        platform = Platform(package.python, PROCESSORS[package.architecture])
        fill(_made(root / package.site_packages), platform, ROOT / "requirements/run.lock", wheel)
        _write_environment(package, root)
        _write_units(root)
        write_completions(package, root)
        _write_manual_pages(root)
        _write_documents(package, root)
        _set_modes(root)
        _write_control(package, root)
        path = _made(folder) / package.file_name
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(root), str(path)],
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "SOURCE_DATE_EPOCH": str(int(package.time.timestamp()))},
        )
    return path


def control(package: Package, installed_kib: int) -> str:
    """Return the text of DEBIAN/control."""
    major, minor = package.python.split(".")
    text = (TEMPLATES / "control.in").read_text(encoding="utf-8")
    values = {
        "VERSION": package.version,
        "ARCHITECTURE": package.architecture,
        "MAINTAINER": package.maintainer,
        "SIZE": str(installed_kib),
        "PYTHON": f"{package.python}~",
        "NEXT_PYTHON": f"{major}.{int(minor) + 1}~",
        "GLIBC": str(NEWEST_GLIBC),
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def units() -> dict[str, str]:
    """Return the unit files by their path below the root."""
    program = ["/usr/bin/tunnelkeeper"]
    system = {
        UnitKind.SUPERVISOR: "/etc/tunnelkeeper/tunnels.toml",
        UnitKind.RELAY: "/etc/tunnelkeeper-relay/relay.toml",
    }
    texts = {}
    for kind in UnitKind:
        for name, text in unit_files(kind, UnitOptions(program)).items():
            texts[f"usr/lib/systemd/user/{name}"] = text
    for kind, config in system.items():
        options = UnitOptions(
            program, ["--config", config], is_system=True, listen=(TcpAddress("*", 2222),)
        )
        for name, text in unit_files(kind, options).items():
            texts[f"lib/systemd/system/{name}"] = text
    return texts


def _write_environment(package: Package, root: Path) -> None:
    home = root / HOME
    _made(home / "bin")
    (home / "bin" / "python3").symlink_to(f"../../../bin/python{package.python}")
    (home / "pyvenv.cfg").write_text(pyvenv_cfg("/usr/bin", package.python))
    _made(root / "usr/bin")
    for name in PROGRAMS:
        script = home / "bin" / name
        script.write_text(SCRIPT.format(python=f"/{HOME}/bin/python3"))
        (root / "usr/bin" / name).symlink_to(f"../lib/tunnelkeeper/bin/{name}")


def _write_units(root: Path) -> None:
    for name, text in units().items():
        path = root / name
        _made(path.parent)
        path.write_text(text)


def write_completions(package: Package, root: Path) -> None:
    """Write the completion scripts as the packaged program makes them. It needs only click."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); "
        "from tunnelkeeper.cli.completion_script import completion_script; "
        "print(completion_script(*sys.argv[2:]), end='')"
    )
    site_packages = str(root / package.site_packages)
    for shell, name in COMPLETIONS.items():
        for program in PROGRAMS:
            command = [sys.executable, "-B", "-c", script, site_packages, shell, program]
            done = subprocess.run(command, check=True, capture_output=True, text=True)
            path = root / name.format(program)
            _made(path.parent)
            path.write_text(done.stdout)


def _write_manual_pages(root: Path) -> None:
    for page in sorted((ROOT / "man").glob("*.[1-8]")):
        folder = _made(root / "usr/share/man" / f"man{page.suffix[1:]}")
        _compress(page.read_bytes(), folder / f"{page.name}.gz")


def _write_documents(package: Package, root: Path) -> None:
    doc = _made(root / DOC)
    for name in ("README.md", "SECURITY.md"):
        shutil.copy(ROOT / name, doc / name)
    for folder in ("docs", "examples"):
        _made(doc / folder)
        for path in sorted((ROOT / folder).iterdir()):
            if path.is_file() and path.suffix != ".py":
                shutil.copy(path, doc / folder / path.name)
    _compress((ROOT / "CHANGELOG.md").read_bytes(), doc / "changelog.gz")
    entry = (
        f"tunnelkeeper ({package.version}) stable; urgency=medium\n\n"
        f"  * Version {__version__} of the program; its changes are in changelog.gz.\n\n"
        f" -- {package.maintainer}  {format_datetime(package.time)}\n"
    )
    _compress(entry.encode(), doc / "changelog.Debian.gz")
    text = copyright_file(
        (ROOT / "LICENSE").read_text(encoding="utf-8"),
        root / package.site_packages,
        package.site_packages,
    )
    (doc / "copyright").write_text(text, encoding="utf-8")
    overrides = _made(root / "usr/share/lintian/overrides") / "tunnelkeeper"
    shutil.copy(TEMPLATES / "lintian-overrides", overrides)
    _made(root / "etc/tunnelkeeper")


def _write_control(package: Package, root: Path) -> None:
    files = sorted(path for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    size = sum(path.stat().st_size for path in files)
    folder = _made(root / "DEBIAN")
    (folder / "control").write_text(control(package, size // 1024), encoding="utf-8")
    sums = [f"{_md5(path)}  {path.relative_to(root)}\n" for path in files]
    (folder / "md5sums").write_text("".join(sums))
    for name in ("postinst", "prerm", "postrm"):
        shutil.copy(TEMPLATES / name, folder / name)
        (folder / name).chmod(0o755)


def _set_modes(root: Path) -> None:
    """Set the modes that Debian expects, whatever the umask and the wheels say."""
    for path in root.rglob("*"):
        if path.is_symlink():
            continue
        is_program = path.is_dir() or path.parent == root / HOME / "bin"
        path.chmod(0o755 if is_program else 0o644)


def _md5(path: Path) -> str:
    return hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()


def _compress(content: bytes, path: Path) -> None:
    path.write_bytes(gzip.compress(content, mtime=0))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def main() -> None:
    """Build the package that the arguments describe, and print its path."""
    parser = argparse.ArgumentParser(prog="python -m distribution.debian", description=__doc__)
    parser.add_argument("wheel", type=Path)
    parser.add_argument("--python", default="3.11", help="Debian's Python: 3.11 for Debian 12")
    parser.add_argument("--architecture", default="amd64", choices=PROCESSORS)
    parser.add_argument("--revision", default="1")
    parser.add_argument("--maintainer", default=os.environ.get("DEBEMAIL") or MAINTAINER)
    parser.add_argument("--folder", type=Path, default=Path("dist"))
    arguments = parser.parse_args()
    if shutil.which("dpkg-deb") is None:
        sys.exit("dpkg-deb is not installed; install it: apt-get install dpkg-dev")
    time = datetime.fromtimestamp(int(os.environ.get("SOURCE_DATE_EPOCH", "0")), UTC)
    package = Package(
        arguments.python, arguments.architecture, arguments.revision, arguments.maintainer, time
    )
    print(build(package, arguments.wheel, arguments.folder))  # noqa: T201


if __name__ == "__main__":
    main()

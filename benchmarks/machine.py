"""The hardware, system and program versions of a run; nothing is changed."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

import psutil

import tunnelkeeper
from benchmarks.processes import program
from benchmarks.report import Machine


def describe() -> Machine:
    """Describe this machine; raise BenchmarkError if ssh or autossh is not installed."""
    return Machine(
        processor=_processor(),
        cores=os.cpu_count() or 1,
        memory_gb=round(psutil.virtual_memory().total / 1e9, 1),
        system=f"{platform.freedesktop_os_release()['PRETTY_NAME']}, Linux {platform.release()}",
        versions={
            "tunnelkeeper": tunnelkeeper.__version__,
            "Python": platform.python_version(),
            "asyncssh": version("asyncssh"),
            "cryptography": version("cryptography"),
            "OpenSSH": _version_output(program("ssh"), "-V")
            .partition(",")[0]
            .removeprefix("OpenSSH_"),
            "autossh": _version_output(program("autossh"), "-V").removeprefix("autossh "),
        },
        load=round(os.getloadavg()[0], 2),
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() in {"model name", "Model"}:
            return " ".join(value.split())
    return platform.machine()


def _version_output(*command: str) -> str:
    """Return the version output of a program, from either stream."""
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return (done.stdout + done.stderr).strip()

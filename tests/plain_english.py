"""Finds words that the English rules of CONTRIBUTING.md leave out, and names of modules that moved.

`python -m tests.plain_english [PATH...]` lists what it finds, a line each.
"""

from __future__ import annotations

import ast
import io
import re
import sys
import tokenize
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tests.imports import PACKAGE, ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator

BANNED = (
    "whoever",
    "somebody",
    "nobody",
    "anew",
    "so many",
    "goes on",
    "what becomes of",
    "is to be",
    "where there is one",
    "where there is none",
    "is not so",
    "told",
    "said",
)
"""Phrases that a reader has to decode. The rules say what to write instead."""

_MOVED = """
    core.allowance core.checks core.exits core.forwards core.hooks core.networks core.patterns
    core.references core.reload core.retries core.succession core.tunnels core.waking
    daemon.checking daemon.clock daemon.direct daemon.filewatch daemon.forward_set
    daemon.forwards daemon.hooks daemon.journal daemon.keeper daemon.local_forwards
    daemon.lookup daemon.narration daemon.netwatch daemon.nursery daemon.passage
    daemon.preflight daemon.pulse daemon.remote_forwards daemon.report daemon.reporting
    daemon.rtnetlink daemon.runner daemon.services daemon.session daemon.sessions daemon.threads
    daemon.usage daemon.view daemon.vigil autossh.course autossh.plan autossh.probe
    autossh.reading autossh.settings autossh.ssh_line ssh.algorithms ssh.aside ssh.backlog
    ssh.bound ssh.chain ssh.crowd ssh.dial ssh.gathering ssh.heartbeat ssh.host_keys
    ssh.identities ssh.inquiry ssh.kept_gcm ssh.known_hosts ssh.known_hosts_file ssh.library
    ssh.login ssh.moves ssh.opening ssh.overheard ssh.private_keys ssh.program ssh.proxy
    ssh.read_once ssh.refusal ssh.report ssh.short_way ssh.steps ssh.turns ssh.window
    forwarding.acceptor forwarding.happy_eyeballs forwarding.holders forwarding.listeners
    forwarding.local forwarding.pieces forwarding.probing forwarding.remote
    forwarding.stream_transport forwarding.targets relay.accounts relay.control relay.coupling
    relay.desk relay.door relay.handover relay.limits relay.listening relay.login relay.names
    relay.opening relay.refusals relay.relay relay.resolving relay.session relay.shared
    relay.socket_folder relay.source relay.sources relay.status relay.visitor
    control.conversation control.messages control.peer control.socketfile control.supervised
    cli.failed cli.importing cli.live cli.relay_places cli.selection cli.table cli.unit_wishes
    cli.watch config.checks config.document config.keys config.layers config.lines
    config.listeners config.problems config.tables config.values sshconfig.facts
    sshconfig.output sshconfig.query sshconfig.request sshconfig.sharing sshconfig.support
    systemd.heartbeat systemd.picture systemd.service_manager systemd.units systemd.words
    importing.asking importing.collection importing.commands importing.edits importing.machine
    importing.names importing.old_lines importing.remarks importing.services importing.shell
    importing.sources importing.translation importing.tunnels importing.unit_words dashboard.bar
    dashboard.board dashboard.cells dashboard.choosing dashboard.commandline dashboard.deeds
    dashboard.desk dashboard.detail dashboard.errands dashboard.link dashboard.logpane
    dashboard.manual dashboard.picture dashboard.rows dashboard.rules dashboard.signs
    dashboard.traffic dashboard.view wording.amounts wording.suggestion wording.tunnels
    importing.tunnel_names
"""
MOVED = _MOVED.split()
"""Modules by their names before the layout had storeys."""

_WORDS = re.compile(
    r"(?<![\w-])(" + "|".join(map(re.escape, BANNED)) + r")(?![\w-])", re.IGNORECASE
)
_MODULES = re.compile(
    rf"(?<![\w./])(?:{PACKAGE}[./])?("
    + "|".join(rf"{re.escape(one)}(?!\w)|{re.escape(one.replace('.', '/'))}\.py" for one in MOVED)
    + ")"
)

_PATHS = [one.replace(".", "/") + ".py" for one in MOVED]

_DOCUMENTED = ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, slots=True)
class Finding:
    """A place and what it has that it should not have."""

    path: Path
    line: int
    what: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}: {self.what}"


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Yield the line and text of everything in a file that a person reads.

    Of Python that is comments, docstrings, the names of functions and classes, and every other
    string of the program. The strings of tests are data.
    """
    source = (ROOT / path).read_text()
    if path.suffix != ".py":
        yield from enumerate(source.splitlines(), 1)
        return
    is_test = path.parts[0] == "tests"
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT or (token.type == tokenize.STRING and not is_test):
            yield from enumerate(token.string.splitlines(), token.start[0])
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            yield node.lineno, node.name.replace("_", " ")
        if is_test and isinstance(node, _DOCUMENTED):
            for line in (ast.get_docstring(node) or "").splitlines():
                yield getattr(node, "lineno", 1), line


def findings(path: Path) -> list[Finding]:
    """Return the banned words and old module names in a file."""
    if not _may_have_findings((ROOT / path).read_text()):
        return []
    found = []
    for line, text in texts(path):
        folded = " ".join(text.split())
        found += [Finding(path, line, f"{m[1]!r}: {folded[:90]}") for m in _WORDS.finditer(text)]
        found += [Finding(path, line, f"module {m[1]}") for m in _MODULES.finditer(text)]
    return found


def _may_have_findings(source: str) -> bool:
    """Return whether a file has to be parsed: without the words in it, there are no findings."""
    words = source.replace("_", " ").lower()
    return any(phrase in words for phrase in BANNED) or any(
        name in source for name in (*MOVED, *_PATHS)
    )


def files() -> list[Path]:
    """Return every file that the rules apply to.

    CHANGELOG.md quotes messages as they were before a change, so it is left out.
    """
    folders = (
        PACKAGE,
        "tests",
        "benchmarks",
        "distribution",
        "docs",
        "examples",
        "packaging",
        "units",
    )
    every = [path for folder in folders for path in sorted((ROOT / folder).rglob("*"))]
    every += sorted(ROOT.glob("*.md"))
    readable = {".py", ".md", ".toml", ".sh", ".service", ".socket"}
    own = {"plain_english.py", "test_plain_english.py", "CHANGELOG.md"}
    data = ROOT / "tests/importing/units"
    return [
        path.relative_to(ROOT)
        for path in every
        if path.suffix in readable and path.name not in own and data not in path.parents
    ]


def main() -> None:
    """List the findings below the given paths, or everywhere."""
    wanted = [Path(argument) for argument in sys.argv[1:]]
    for path in files():
        if not wanted or any(path == one or one in path.parents for one in wanted):
            for finding in findings(path):
                print(finding)


if __name__ == "__main__":
    main()

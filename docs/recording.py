#!/usr/bin/env python3
"""The recording in README: a real outage of a real sshd, captured from terminals in tmux.

    python docs/recording.py              needs Linux, root, tmux, OpenSSH and curl; half a minute

Everything runs in namespaces of its own: the names, the ports and the processes that the recording
shows exist there only, and so `pkill sshd` ends no other sshd. It writes docs/recording.svg.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import TYPE_CHECKING

from docs.animated_svg import Frame, Pane, Screen, animated_svg, below, beside
from docs.namespaces import run_inside

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

TARGET = Path(__file__).parent / "recording.svg"
TITLE = "The SSH server is killed and started again; a curl through the tunnel waits for it"

SERVER, TARGET_HOST = "relay.example.com", "web.internal"
HOSTS = f"127.0.0.1 localhost {SERVER}\n127.0.0.2 {TARGET_HOST}\n"
ANSWER = f"hello from {TARGET_HOST}\n".encode()
TUNNELS = f"""
[supervisor]
ssh_config = false

[defaults]
identity_files = "{{home}}/key"
identity_agent = "none"
known_hosts = "{{home}}/known_hosts"

[tunnels.web]
host = "{SERVER}"
local = ["8080:{TARGET_HOST}:80"]
"""
SSHD = """
HostKey {home}/host_key
AuthorizedKeysFile {home}/key.pub
PidFile none
StrictModes no
PermitRootLogin yes
"""

INTERVAL = 0.1
"""Seconds between two captures."""

KEYSTROKE = 0.05
PAUSE, OUTAGE, HOLD = 1.2, 3.0, 10.0
WITHIN = 30.0
"""Seconds in which a screen must show what is expected of it, on a busy machine."""

CURSOR = "#{cursor_flag} #{cursor_x} #{cursor_y}"
"""The format of tmux for whether the cursor is visible, and for its place."""

COLUMNS, ROWS, STATUS_ROWS = 46, 6, 7


class Recorder:
    """Three terminals in one tmux, and what they showed when."""

    def __init__(self, socket: Path, panes: list[Pane]) -> None:
        self._tmux = ["tmux", "-S", str(socket), "-f", os.devnull]
        self._panes = panes
        self.frames: list[Frame] = []

    def open(self, number: int, command: list[str], environment: dict[str, str]) -> None:
        """Run a program in a terminal of the pane's size."""
        pane = self._panes[number]
        line = shlex.join(
            ["env", *(f"{name}={value}" for name, value in environment.items()), *command]
        )
        size = ["-x", str(pane.columns), "-y", str(pane.rows)]
        self._run("new-session", "-d", "-s", f"pane{number}", *size, line)
        self._run("set-option", "-g", "status", "off")
        self._run("resize-window", "-t", _target(number), *size)

    def write(self, number: int, text: str) -> None:
        """Type a line as a person does, and press Enter."""
        for character in text:
            self._run("send-keys", "-t", _target(number), "-l", character)
            time.sleep(KEYSTROKE)
        self._run("send-keys", "-t", _target(number), "Enter")

    def wait_for(self, number: int, condition: Callable[[str], bool], what: str) -> None:
        """Wait until a terminal meets a condition. Raises SystemExit if it does not."""
        deadline = time.monotonic() + WITHIN
        while not condition(screen := self._capture(number, "-p")):
            if time.monotonic() > deadline:
                sys.exit(f"expected {what}:\n{screen}")
            time.sleep(INTERVAL)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Capture every terminal until the end, and once more there."""
        ended = Event()
        thread = Thread(target=self._record, args=(ended,))
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()

    def close(self) -> None:
        """End tmux and its programs."""
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)

    def _record(self, ended: Event) -> None:
        started = time.monotonic()
        is_last = False
        while not is_last:
            at = time.monotonic() - started if self.frames else 0.0
            screens = tuple(map(self._screen, range(len(self._panes))))
            self.frames.append(Frame(at, screens))
            is_last = ended.is_set()
            ended.wait(INTERVAL)

    def _screen(self, number: int) -> Screen:
        """Capture a terminal and its cursor at the same moment."""
        cursor = ["display-message", "-p", "-t", _target(number), CURSOR]
        captured = self._capture(number, "-N", "-e", "-p", ";", *cursor)
        text, _, line = captured.rstrip("\n").rpartition("\n")
        is_visible, column, row = map(int, line.split())
        return Screen(text, (column, row) if is_visible else None)

    def _capture(self, number: int, *options: str) -> str:
        return self._run("capture-pane", "-t", _target(number), *options)

    def _run(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._tmux, *arguments], check=True, capture_output=True, text=True, timeout=20
        )
        return done.stdout


def _target(number: int) -> str:
    """Return tmux's name of a terminal. A number alone would be the name of a window."""
    return f"=pane{number}:"


def main() -> None:
    """Do it in namespaces of its own."""
    run_inside("docs.recording", record)


def record() -> None:
    """Prepare this machine, play the scene, and write the recording."""
    client, server = beside(Pane("your machine", COLUMNS, ROWS), Pane(SERVER, COLUMNS, ROWS))
    status = Pane("tunnelkeeper status --watch", 2 * COLUMNS + 4, STATUS_ROWS)
    panes = [client, server, below(status, (client, server))]
    with ExitStack() as stack:
        home = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="tk-")))
        prepare(home)
        stack.enter_context(web_server())
        recorder = Recorder(home / "tmux", panes)
        stack.callback(recorder.close)
        play(recorder, home)
    TARGET.write_text(animated_svg(panes, recorder.frames, HOLD, TITLE), encoding="utf-8")


def prepare(home: Path) -> None:
    """Give this machine its network, its names and its files. It must be in namespaces."""
    run("ip", "link", "set", "lo", "up")
    for name in ("key", "host_key"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / name))
    key = (home / "host_key.pub").read_text()
    (home / "known_hosts").write_text(f"{SERVER} {key}")
    (home / "tunnels.toml").write_text(TUNNELS.format(home=home))
    for path, text in (("/etc/hosts", HOSTS), ("/etc/ssh/sshd_config", SSHD.format(home=home))):
        own = home / Path(path).name
        own.write_text(text)
        run("mount", "--bind", str(own), path)
    Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    run("/usr/sbin/sshd")


def play(recorder: Recorder, home: Path) -> None:
    """Play the scene: a request, an outage, a request that waits for its end."""
    folder = Path(sys.executable).parent
    environment = {
        "PATH": f"{folder}:{os.environ['PATH']}:/usr/sbin",
        "TERM": "tmux-256color",
        "LC_ALL": "C.UTF-8",
        "TUNNELKEEPER_CONFIG": str(home / "tunnels.toml"),
        "TUNNELKEEPER_SOCKET": str(home / "control.sock"),
        "XDG_STATE_HOME": str(home),
        "TIMEFORMAT": "answered after %1R seconds",
    }
    run("tunnelkeeper", "up", "--detach", env=os.environ | environment)
    shell = ["bash", "--norc", "--noprofile"]
    client, server, status = range(3)
    try:
        recorder.open(client, shell, environment | {"PS1": "$ "})
        recorder.open(server, shell, environment | {"PS1": "# "})
        recorder.open(status, ["tunnelkeeper", "status", "--watch"], environment)
        recorder.wait_for(client, lambda text: "$" in text, "a prompt")
        recorder.wait_for(server, lambda text: "#" in text, "a prompt")
        recorder.wait_for(status, lambda text: " up " in text, "an up tunnel")
        with recorder.recording():
            time.sleep(PAUSE)
            recorder.write(client, "curl localhost:8080")
            recorder.wait_for(client, lambda text: "hello" in text, "an answer")
            time.sleep(PAUSE)
            recorder.write(server, "pkill sshd")
            recorder.wait_for(status, lambda text: " backoff " in text, "an outage")
            time.sleep(PAUSE)
            recorder.write(client, "time curl localhost:8080")
            time.sleep(OUTAGE)
            recorder.write(server, "/usr/sbin/sshd")
            recorder.wait_for(client, lambda text: "answered" in text, "a second answer")
            recorder.wait_for(status, lambda text: " up " in text, "an up tunnel")
            time.sleep(PAUSE)
    finally:
        run("tunnelkeeper", "down", env=os.environ | environment)


@contextmanager
def web_server() -> Iterator[None]:
    """Serve the target of the tunnel."""
    with ThreadingHTTPServer((TARGET_HOST, 80), Greeter) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()


class Greeter(BaseHTTPRequestHandler):
    """Answers every request with one line."""

    def do_GET(self) -> None:
        """Answer one request."""
        self.send_response(200)
        self.end_headers()
        self.wfile.write(ANSWER)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def run(*command: str, env: dict[str, str] | None = None) -> None:
    """Run a program; exit with its message if it fails."""
    path = env["PATH"] if env else None
    program = shutil.which(command[0], path=path) or command[0]
    done = subprocess.run(
        [program, *command[1:]], check=False, stderr=subprocess.PIPE, text=True, env=env
    )
    if done.returncode:
        sys.exit(f"{shlex.join(command)}: {done.stderr}")


if __name__ == "__main__":
    main()

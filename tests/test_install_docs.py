"""What docs/install.md says about the files of a user is what the program uses."""

from __future__ import annotations

import re
from pathlib import Path

from tests.markdown import links, section
from tunnelkeeper import paths
from tunnelkeeper.cli import completion_file
from tunnelkeeper.cli.completion_script import PROGRAMS, SHELLS

ROOT = Path(__file__).parent.parent
INSTALL = ROOT / "docs/install.md"
ENVIRONMENT = {"HOME": "/home/me"}
"""A user without XDG_ variables, for whom the page gives the paths."""


def written_for_a_user() -> dict[str, Path]:
    return {
        "config file": paths.config_path(None, ENVIRONMENT),
        "config file of a relay": paths.relay_config_path(ENVIRONMENT),
        "log": paths.log_path(ENVIRONMENT),
        "claims": paths.claims_folder(ENVIRONMENT),
        "control socket without a login session": paths.socket_path(None, ENVIRONMENT),
        "state of a relay": paths.relay_state_folder(ENVIRONMENT),
        **{
            f"completion of {shell}": completion_file.path_for(shell, PROGRAMS[0], ENVIRONMENT)
            for shell in SHELLS
        },
    }


def test_every_path_of_the_program_is_among_what_is_left_behind() -> None:
    named = [
        Path(name.replace("~", ENVIRONMENT["HOME"]))
        for name in re.findall(r"`(~/[^`]+)`", section(INSTALL, "Remove"))
    ]

    assert {
        what: path
        for what, path in written_for_a_user().items()
        if not any(path == each or path.is_relative_to(each) for each in named)
    } == {}


def test_the_socket_of_a_session_is_where_the_page_says() -> None:
    runtime = {**ENVIRONMENT, "XDG_RUNTIME_DIR": "/run/user/1000"}

    assert paths.socket_path(None, runtime).parent == Path("/run/user/1000/tunnelkeeper")
    assert "`$XDG_RUNTIME_DIR/tunnelkeeper`" in section(INSTALL, "Remove")


def test_the_index_of_the_documentation_names_every_page() -> None:
    index = ROOT / "docs/README.md"
    named = {link.partition("#")[0] for link in links(index)}

    assert {page.name for page in ROOT.glob("docs/*.md")} - named == {index.name}

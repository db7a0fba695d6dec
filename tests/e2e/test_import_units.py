"""Arguments and variables of imported units, compared with those that a real systemd passes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.e2e.systemd import UID
from tunnelkeeper.importing import specifier_values
from tunnelkeeper.importing.readers import read_text
from tunnelkeeper.importing.source_commands import SourceCommand
from tunnelkeeper.importing.specifiers import UnitName, make_unit_specifiers
from tunnelkeeper.importing.systemd_service import Service, find_service_commands
from tunnelkeeper.sshconfig import Facts

if TYPE_CHECKING:
    from tests.e2e.systemd import UserManager
    from tests.e2e.systemd_user import SystemdUser

pytestmark = pytest.mark.timeout(300)

PROGRAM = """\
#!/bin/sh
{
  for word; do printf 'word %s\\0' "$word"; done
  for name in AUTOSSH_A AUTOSSH_B AUTOSSH_C AUTOSSH_D AUTOSSH_E; do
    eval "value=\\${$name-(unset)}"
    printf 'variable %s=%s\\0' "$name" "$value"
  done
} > "$OUT"
"""

FILE = r"""
# a comment
; another
AUTOSSH_A = one two  # three
AUTOSSH_B="a \"b\" \$c \d"' and d'
export AUTOSSH_C=no
not a variable
AUTOSSH_C=x\
y\ z"q"
AUTOSSH_D='it
goes on'
WORDS=-p 2222 "in quotes" back\\slash
AUTOSSH_E=
"""

LINES = {
    "words": r"""-N a"b c"d 'single "double"' "double 'single'" \x41\102\u00e9\s\t| back\\slash""",
    "specifiers": "%i %I %j %J %n %N %p %P %f %h %u %U %t %C %E %% %%i",
    "variables": r"$WORDS ${WORDS} pre${WORDS}post $$WORDS $${WORDS} a$WORDS $UNSET ${UNSET} x",
    "kept": r"'$WORDS' $ ${ }$",
    "semicolon": r"a \; b;c ';'",
    "continued": "-N \\\n# a comment in between\n   -L 1:a:2 \\\n;another\n  -R 3:b:4 \\\n\n",
    "quoted-specifiers": "\"%i x\" '%h y'",
}
PREFIXES = {"plain": "", "kept-going": "-", "no-variables": ":", "both": "-:"}


def unit(program: str, line: str, out: str, prefix: str = "") -> str:
    return f"""\
[Unit]
Description=a unit \\
  of the old kind

[Service]
Type=oneshot
Environment="AUTOSSH_A=from the unit" AUTOSSH_E=%i 'OUT={out}'
EnvironmentFile={out}.environment
EnvironmentFile=-/nowhere/at/all
ExecStart=/bin/false
ExecStart=
ExecStart={prefix}{program} {line}
"""


def test_arguments_and_variables_match_those_that_systemd_passes(user: SystemdUser) -> None:
    program = user.machine.write(user.machine.home / "bin" / "autossh", PROGRAM)
    program.chmod(0o755)
    cases = {name: (line, "") for name, line in LINES.items()}
    cases |= {name: (LINES["variables"], prefix) for name, prefix in PREFIXES.items()}
    names = {case: rf"old-{case}@one-two\x2dthree.service" for case in cases}
    for case, (line, prefix) in cases.items():
        out = user.machine.home / case
        user.machine.write(out.with_name(f"{case}.environment"), FILE)
        template = user.machine.units / f"old-{case}@.service"
        user.machine.write(template, unit(str(program), line, str(out), prefix))
    user.machine.systemctl("daemon-reload")

    user.machine.systemctl("start", *names.values())

    differences = {}
    for case, name in names.items():
        passed = (user.machine.home / case).read_text(errors="surrogateescape").split("\0")[:-1]
        text = user.machine.systemctl("cat", name)
        imported = printed_by_program(read_line(user.machine, name, text))
        if imported != passed:
            differences[case] = (imported, passed)
    assert differences == {}


def read_line(manager: UserManager, name: str, text: str) -> SourceCommand:
    home = str(manager.home)
    facts = Facts("tk", UID, home, "", home, manager.environment, {"tk": home}.get)
    path = text.partition("\n")[0].removeprefix("# ")
    values = {
        **specifier_values.read_user_specifiers(facts),
        **make_unit_specifiers(UnitName(name), path),
    }
    service = Service(UnitName(name), name, text, values, "tk", is_user=True)
    [line] = find_service_commands(service, read_text, facts.home_of)
    assert isinstance(line, SourceCommand), line
    return line


def printed_by_program(line: SourceCommand) -> list[str]:
    environment = line.command.environment
    variables = [f"AUTOSSH_{letter}" for letter in "ABCDE"]
    return [
        *(f"word {word}" for word in line.command.arguments),
        *(f"variable {name}={environment.get(name, '(unset)')}" for name in variables),
    ]

"""The table of the checks of `tunnelkeeper doctor`, in the order in which they run.

A check comes after those that it depends on. `doctor/` carries them out.
"""

from __future__ import annotations

from tunnelkeeper.core.diagnosis import Area, Check

CHECKS = (
    Check("clock", Area.CLIENT, "Is the clock of this machine plausible?"),
    Check("disk", Area.CLIENT, "Is there room for the log, known_hosts and the config file?"),
    Check(
        "config",
        Area.CLIENT,
        "Is the config file valid, does everything that it names exist, and is every directive of"
        " ssh_config supported?",
        depends_on=("disk",),
    ),
    Check(
        "ssh_command",
        Area.CLIENT,
        "Does `ssh -G` answer for every hop, and how long does it take?",
        depends_on=("config",),
    ),
    Check(
        "file_modes",
        Area.CLIENT,
        "Can only you write to your home folder, ~/.ssh, its known_hosts and the config file?",
    ),
    Check(
        "certificates",
        Area.CLIENT,
        "Is the certificate of every key valid now, and for how long?",
        depends_on=("config", "clock"),
    ),
    Check(
        "passphrases",
        Area.CLIENT,
        "Can encrypted keys be used without a person: by the agent or a stored passphrase?",
        depends_on=("config",),
    ),
    Check(
        "agent",
        Area.CLIENT,
        "Does the agent answer, how soon, and are its keys few enough for a server's limit?",
        depends_on=("config",),
    ),
    Check(
        "open_files",
        Area.CLIENT,
        "Does the limit of open files suffice for the configured forwards?",
        depends_on=("config",),
    ),
    Check(
        "supervisor",
        Area.CLIENT,
        "Does a supervisor with this config file run, and does it answer?",
        depends_on=("config", "disk"),
    ),
    Check(
        "control_socket",
        Area.CLIENT,
        "Can only you use the control socket, and replace its folder?",
    ),
    Check(
        "version",
        Area.CLIENT,
        "Does the supervisor have the version that is installed?",
        depends_on=("supervisor",),
    ),
    Check(
        "reload",
        Area.CLIENT,
        "Has the supervisor read the config file since its last change?",
        depends_on=("supervisor",),
    ),
    Check(
        "key_exchange",
        Area.SERVER,
        "Does the key exchange with every connected server withstand a quantum computer?",
        depends_on=("supervisor",),
    ),
    Check(
        "unit",
        Area.CLIENT,
        "If a systemd unit is installed: is it enabled, does it start without a login, and does it"
        " know the agent?",
    ),
    Check(
        "local_ports",
        Area.CLIENT,
        "Can every local port be bound; if not, which program holds it?",
        depends_on=("config",),
    ),
    Check(
        "other_programs",
        Area.CLIENT,
        "Does another program (autossh, ssh, a unit, a crontab) make the same forward?",
        depends_on=("config",),
    ),
    Check(
        "tunnels",
        Area.CLIENT,
        "Is every tunnel that should be up, up; if not, what does the supervisor report?",
        depends_on=(
            "clock",
            "config",
            "ssh_command",
            "certificates",
            "agent",
            "open_files",
            "supervisor",
            "local_ports",
        ),
    ),
)

"""The text of a config file that a command creates. It reads and writes nothing."""

from __future__ import annotations

SCHEMA_FILE = "tunnels.schema.json"
"""The name of the schema, beside the config file."""

HEADER = """\
# The tunnels that tunnelkeeper keeps up. `tunnelkeeper edit` opens this file and checks it,
# `tunnelkeeper reload` makes a running supervisor read it.
"""
"""The comment at the top of a file that `add` creates."""

STARTER = f"""\
#:schema ./{SCHEMA_FILE}
{HEADER}#
# A tunnel is a name, a host and its forwards. `tunnelkeeper add` writes one, or do it here:
# remove the `#` of what you need.

# [tunnels.db]
# host = "me@relay.example.com"          # as for ssh; an alias of ssh_config is fine
# local = ["5432:db.internal:5432"]      # ssh -L: port 5432 here leads to db.internal
# remote = ["2222:localhost:22"]         # ssh -R: port 2222 of the server leads here
# socks = ["1080"]                       # ssh -D: a SOCKS proxy here
# autostart = true                       # false: only `tunnelkeeper up db` starts it
# groups = ["work"]                      # for `tunnelkeeper up --group work`
# on_up = "logger the database is there" # a program to run; on_down is its counterpart

# Settings of a host, for every tunnel that uses it. ssh_config applies as well.
# [hosts."relay.example.com"]
# port = [22, 443]                       # tried in this order
# identity_files = ["~/.ssh/id_ed25519"]
# jump = ["me@bastion.example.com"]      # ssh -J

# Settings of all hosts and tunnels.
# [defaults]
# keepalive_interval = "15s"             # a server that is silent for a minute is dead
# host_key_policy = "accept-new"         # trust the key that an unknown server shows first
# hold_timeout = "10s"                   # how long clients wait while a tunnel is away
"""
"""The text of a file that `init` creates."""

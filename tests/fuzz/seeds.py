"""Valid inputs of the parsers, to begin with."""

from __future__ import annotations

import base64


def string(data: bytes) -> bytes:
    """Return a string of RFC 4251."""
    return len(data).to_bytes(4) + data


KEY_BLOB = string(b"ssh-ed25519") + string(bytes(range(32)))
KEY = b"ssh-ed25519 " + base64.b64encode(KEY_BLOB)
HASH = base64.b64encode(bytes(20))
KNOWN_HOSTS = b"".join(
    (
        *(b"[a]:2222,b ", KEY, b"\n@cert-authority *.c ", KEY),
        *(b"\n|1|", HASH, b"|", HASH, b" ", KEY, b"\n"),
    )
)
REVOKED_CERTIFICATES = (
    *(string(KEY_BLOB), string(b"")),  # the authority, reserved
    *(b"\x20", string(bytes(15) + b"\x07")),  # serial numbers
    *(b"\x21", string(bytes(16))),  # a range of them
    *(b"\x23", string(string(b"id"))),  # key ids
)
KRL = b"".join(
    (
        *(b"SSHKRL\n\0", b"\0\0\0\x01", bytes(24), string(b""), string(b"comment")),
        *(b"\x01", string(b"".join(REVOKED_CERTIFICATES))),
        *(b"\x02", string(string(KEY_BLOB)), b"\x05", string(string(bytes(32)))),
    )
)
CERTIFICATE = b"".join(
    (
        *(string(b"ssh-ed25519-cert-v01@openssh.com"), string(bytes(32)), string(bytes(32))),
        *(bytes(8), b"\0\0\0\x02", string(b"id"), string(string(b"box"))),
        *(bytes(8), b"\xff" * 8, string(b""), string(b""), string(b"")),
        *(string(KEY_BLOB), string(string(b"ssh-ed25519") + string(bytes(64)))),
    )
)
TUNNELS = b"""
[supervisor]
ssh_config = false
[defaults]
backoff = { initial = 1, max = "5m" }
[hosts."a.b"]
port = [22, 2222]
jump = ["x@y:1", "z"]
rekey_limit = "1G 1h"
[tunnels.db]
host = "ann@relay"
local = ["5432:db:5432", { listen = "/tmp/s", connect = "web:80", check = "http://web/" }]
socks = { listen = 1080, allow_users = [0], password_file = "/p" }
remote = "[::1]:8080:localhost:80"
on_up = "logger '%t up'"
"""
RELAY = b"""
listen = ["127.0.0.1:2222"]
permit_open = ["10.0.0.0/8:*", "db:5432"]
[limits]
connections_per_key = 3
"""
SSH_CONFIG = b"""
Host relay *.example.org !x
  HostName %h.net
  Port 22
  LocalForward 8080 web:80
Match host "a,b" exec "true" user ann
  ProxyCommand nc -X 5 %h %p
  RekeyLimit 1G 1h
IgnoreUnknown Foo*
"""
UNIT = b"""[Service]
Environment="OPTIONS=-N -D 1080" A=b
EnvironmentFile=-/etc/default/%i
User=%u
ExecStart=/bin/sh -c 'exec ssh -N "$${X}" \\
  relay'
ExecStart=@/usr/bin/autossh autossh -M 0 $OPTIONS ${A} relay
"""
CRONTAB = b"""PATH="/bin"
@reboot AUTOSSH_PORT=0 autossh -f -N -R 2222:localhost:22 ann@relay >/dev/null 2>&1 &
*/5 * * * * pgrep autossh || ssh -fN -L 1:b:2 "c d" % x
"""
AUTOSSH = b"-M\n20000:7\n-fN\n-L\n5432:db:5432\n-o\nTCPKeepAlive=no\n-J\na,b\nann@relay\ncmd"

PROMPTS = b"".join(
    (
        *(len(text).to_bytes(4, "big") + text for text in (b"Gate", b"Two\nlines", b"")),
        (2).to_bytes(4, "big"),
        *(
            len(text).to_bytes(4, "big") + text + echo
            for text, echo in ((b"Password: ", b"\0"), (b"Code: ", b"\1"))
        ),
    )
)

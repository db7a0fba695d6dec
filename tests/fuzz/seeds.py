"""Valid inputs of the parsers, to begin with."""

from __future__ import annotations

import base64


def string(data: bytes) -> bytes:
    """Return a string of RFC 4251."""
    return len(data).to_bytes(4) + data


KEY_BLOB = string(b"ssh-ed25519") + string(bytes(range(32)))
KEY = b"ssh-ed25519 " + base64.b64encode(KEY_BLOB)
# Throwaway keys, encrypted by ssh-keygen with the passphrase "sesame".
OPENSSH_KEY = (
    b"-----BEGIN OPENSSH PRIVATE KEY-----\n"
    b"b3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0AAAAGAAAABAwcfts2d\n"
    b"G5Lu65ZtoC2r28AAAAAQAAAAEAAAAzAAAAC3NzaC1lZDI1NTE5AAAAIH6OL1C1OFKg+iu7\n"
    b"THaoihM20vCxAEfO8AOypOwifaHpAAAAkG6x5yg6SzvvQ57aJSvs2pIcFtAzOsGz1f4LL/\n"
    b"B+mM5pf4ew1q24RTKfPZN3GMdFRIj0JSxl8/4biK1NXwbE4qKXOZiMq0zCaPH2ZvfiGYZq\n"
    b"NDyBUHuVzB1MnrB02xuJ4+XKmWGjsCe4K3S3L9kOTsfZrwQbIxzMFUYg7nyFiBQ21v5VVp\n"
    b"p+O5285l/W6poPaA==\n"
    b"-----END OPENSSH PRIVATE KEY-----\n"
)
PEM_KEY = (
    b"-----BEGIN EC PRIVATE KEY-----\n"
    b"Proc-Type: 4,ENCRYPTED\n"
    b"DEK-Info: AES-128-CBC,201264BB4D727826A1A44E1B9E4C7DED\n"
    b"\n"
    b"/IR2jmGvetOaHpaB9J1QFpTSBtyKUAGlHsNU7zkTw+GPiQ609b/mQEYa92ayUspG\n"
    b"8NUGwufzLppIpMhrkSEGc/D0r9raaSd5ScDFInkau5OHwEYXLCP1kh+UTLSbRDXg\n"
    b"pJphajgyPaFigcoDqZ0nYs1ipTFXgmSwJuf9SugZzUQ=\n"
    b"-----END EC PRIVATE KEY-----\n"
)
PKCS8_KEY = (
    b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n"
    b"MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAiDNZ+Qo2/RjgICCAAw\n"
    b"DAYIKoZIhvcNAgkFADAdBglghkgBZQMEAQIEEC0qsIOVy1fz5cvHV0HFZ9oEgZCa\n"
    b"WEBMyRMrH9AGaiLCDSGt7kn067Lda8lha8bflBt7v9vQBfrgO8Kmz7R9dx5+YGlI\n"
    b"DsyjhReNl2WpJ+w3JWdo6KLTn64d+Mpyc+I8pXJTKSwfSteX8YgqoTnUs+1HRsWd\n"
    b"RiD2JoGXCVNvzIPDTLXcmIwyExWJnSypO59a7Dap5faKz9vwx+58EbvhwJp83oU=\n"
    b"-----END ENCRYPTED PRIVATE KEY-----\n"
)
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

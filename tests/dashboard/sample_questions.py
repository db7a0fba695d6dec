"""Sample questions for the tests of the dashboard."""

from __future__ import annotations

import msgspec

from tunnelkeeper.core.snapshot import HostKeySnapshot, PromptSnapshot, QuestionSnapshot

FINGERPRINT = "SHA256:" + "u" * 43
ART = "\n".join(["+--[ED25519 256]--+", *["|    .o=B+. o .   |"] * 9, "+----[SHA256]-----+"])

PASSPHRASE = QuestionSnapshot(
    "q1",
    "passphrase",
    "/home/me/.ssh/id_ed25519",
    "the key /home/me/.ssh/id_ed25519 is encrypted",
    [PromptSnapshot("Passphrase:")],
    ["away", "stuck"],
    1,
    live=False,
)
HOST_KEY = QuestionSnapshot(
    "q2",
    "host_key",
    "me@new.example:22",
    "me@new.example:22: no host key is known for new.example; "
    f"the server shows ssh-ed25519 {FINGERPRINT}",
    [PromptSnapshot("Accept this key? (yes/no/fingerprint) ", echo=True)],
    ["stuck"],
    1,
    live=False,
    host_key=HostKeySnapshot(
        "ssh-ed25519",
        FINGERPRINT,
        ART,
        ["/home/me/.ssh/known_hosts", "/etc/ssh/ssh_known_hosts"],
        ["/home/me/.ssh/known_hosts:3: old.example"],
    ),
)
RESTING = QuestionSnapshot(
    "q3",
    "codes",
    "me@bank.example:22",
    "me@bank.example:22 asks for an answer at the login",
    [],
    ["stuck"],
    1,
    live=False,
)
CODES = msgspec.structs.replace(
    RESTING,
    text='me@bank.example:22 says: "二段階認証 two factors, 認証コード"',
    prompts=[PromptSnapshot("Password:"), PromptSnapshot("Verification code:", echo=True)],
    attempt=2,
    live=True,
    seconds_left=90.0,
)
TOUCH = QuestionSnapshot("q4", "touch", "me@relay:22", "touch the key", [], ["half"], 1, live=True)

#!/bin/sh
# Runs inside the container of packaging/deb-check.sh, as a service of its systemd.
set -eu
exec 2>&1
export DEBIAN_FRONTEND=noninteractive

step() { echo "== $*"; }
fail() {
    echo "FAILED: $*"
    systemctl --no-pager --full status 'tunnelkeeper*' || true
    journalctl --no-pager --boot --unit 'tunnelkeeper*' | tail -n 40
    exit 1
}
# Tries a command until it succeeds, for 30 seconds.
eventually() {
    for _ in $(seq 150); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.2
    done
    fail "never: $*"
}
# Prints what the service behind a port of this machine says.
talk() { timeout 5 bash -c "exec 3<>/dev/tcp/127.0.0.1/$1; head -c 8 <&3"; }
carries_data() { [ "$(talk "$1")" = "SSH-2.0-" ]; }
install_package() { apt-get install -qq --no-install-recommends --allow-downgrades "$1" >/dev/null; }
as_me() { runuser -u me -- env XDG_RUNTIME_DIR="/run/user/$(id -u me)" HOME=/home/me "$@"; }

step "install"
install_package /root/old.deb
tunnelkeeper --version
[ "$(systemctl is-enabled tunnelkeeper.service || true)" = disabled ] || fail "enabled unasked"
[ -e /usr/share/bash-completion/completions/tunnelkeeper ] || fail "no completion"
ls /usr/lib/tunnelkeeper/lib/python3*/site-packages/tunnelkeeper/__pycache__/*.pyc >/dev/null
if ls /usr/share/man/man1/tunnelkeeper*.gz >/dev/null 2>&1; then
    man --where tunnelkeeper
fi

step "demo --check, as a user"
useradd --create-home --shell /bin/bash me
as_me tunnelkeeper demo --check

step "the units pass systemd-analyze verify"
systemd-analyze verify /lib/systemd/system/tunnelkeeper*.service /lib/systemd/system/tunnelkeeper*.socket

step "a tunnel of the system, through the sshd of this machine"
eventually carries_data 22
install -d -m 0700 -o tunnelkeeper -g tunnelkeeper /var/lib/tunnelkeeper/.ssh
runuser -u tunnelkeeper -- ssh-keygen -q -t ed25519 -N '' -f /var/lib/tunnelkeeper/.ssh/id_ed25519
install -d -m 0700 -o me -g me /home/me/.ssh
install -m 0600 -o me -g me /var/lib/tunnelkeeper/.ssh/id_ed25519.pub /home/me/.ssh/authorized_keys
cat >/etc/tunnelkeeper/tunnels.toml <<'TOML'
[tunnels.here]
host = "me@127.0.0.1"
local = ["4022:127.0.0.1:22"]
host_key_policy = "accept-new"
TOML
systemctl enable --now tunnelkeeper.service
eventually carries_data 4022
tunnelkeeper --socket /run/tunnelkeeper/control.sock status
before=$(systemctl show --property MainPID --value tunnelkeeper.service)

step "a supervisor of a user, through the user unit"
loginctl enable-linger me
eventually as_me systemctl --user is-active default.target
as_me ssh-keygen -q -t ed25519 -N '' -f /home/me/.ssh/id_ed25519
cat /home/me/.ssh/id_ed25519.pub >>/home/me/.ssh/authorized_keys
as_me mkdir -p /home/me/.config/tunnelkeeper
sed 's/4022/5022/' /etc/tunnelkeeper/tunnels.toml >/home/me/.config/tunnelkeeper/tunnels.toml
chown me: /home/me/.config/tunnelkeeper/tunnels.toml
as_me systemctl --user enable --now tunnelkeeper.service
eventually carries_data 5022
before_of_me=$(as_me systemctl --user show --property MainPID --value tunnelkeeper.service)

step "the relay of the system, with a name for a box"
tunnelkeeper relay init --system --address 127.0.0.1 >/dev/null
systemctl enable --now tunnelkeeper-relay.socket tunnelkeeper-relay.service
eventually carries_data 2222
tunnelkeeper relay status

step "upgrade: config files stay, and all run the new version"
install_package /root/new.deb
eventually carries_data 4022
eventually carries_data 5022
eventually carries_data 2222
[ "$(systemctl show --property MainPID --value tunnelkeeper.service)" != "$before" ] ||
    fail "the supervisor of the system was not restarted"
[ "$(as_me systemctl --user show --property MainPID --value tunnelkeeper.service)" != \
    "$before_of_me" ] || fail "the supervisor of the user was not restarted"
dpkg-query --show tunnelkeeper
dpkg --verify tunnelkeeper

step "remove: the program ends and is gone, config files and keys stay"
apt-get remove -qq tunnelkeeper >/dev/null
if carries_data 4022 2>/dev/null || carries_data 5022 2>/dev/null ||
    carries_data 2222 2>/dev/null; then fail "still running"; fi
[ ! -e /usr/lib/tunnelkeeper ] || fail "left: $(find /usr/lib/tunnelkeeper | head -n 5)"
[ ! -e /usr/bin/tunnelkeeper ] || fail "the program is still there"
[ -e /etc/tunnelkeeper/tunnels.toml ] || fail "the config file is gone"
[ -e /var/lib/tunnelkeeper/.ssh/id_ed25519 ] || fail "the key is gone"

step "install again: it works as before"
install_package /root/new.deb
systemctl start tunnelkeeper.service
eventually carries_data 4022

step "purge: nothing is left but the system's user and the files of users"
apt-get purge -qq tunnelkeeper >/dev/null
systemctl daemon-reload
left=$(find / -xdev \( -path /proc -o -path /home -o -path /tmp \) -prune -o \
    -name '*tunnelkeeper*' -print | grep -v '^/run/user\|^/var/lib/systemd/deb-systemd\|^/sys' || true)
[ -z "$left" ] || fail "left: $left"
[ -e /home/me/.config/tunnelkeeper/tunnels.toml ] || fail "the user's config file is gone"
getent passwd tunnelkeeper

#!/bin/sh
# Builds the image and runs it as a container runtime would: a read-only root, the user of the image
# without capabilities, config and keys mounted read-only, as process 1. Needs root, buildah and sshd.
#
# usage: packaging/image-check.sh [PYTHON_IMAGE]
#
# buildah builds without a daemon, and the container is made by unshare and chroot, so that the check
# runs on machines without a container engine.
set -eu

folder=$(mktemp -d)
export BUILDAH_ISOLATION=chroot STORAGE_DRIVER="${STORAGE_DRIVER:-vfs}"
container="" sshd="" started=""
finish() {
    [ -z "$started" ] || kill -KILL "$started" 2>/dev/null || true
    [ -z "$sshd" ] || kill "$sshd" 2>/dev/null || true
    [ -z "$container" ] || buildah rm "$container" >/dev/null || true
    rm -rf "$folder"
}
trap finish EXIT
fail() {
    echo "FAILED: $*"
    cat "$folder/log" 2>/dev/null || true
    exit 1
}
eventually() {
    for _ in $(seq 150); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.2
    done
    fail "never: $*"
}
for program in buildah sshd unshare python3; do
    PATH="$PATH:/usr/sbin" command -v "$program" >/dev/null || fail "$program is not installed"
done
[ "$(id -u)" = 0 ] || fail "only root can make the container; run it with sudo"

echo "== build"
buildah bud --quiet --format docker ${1:+--build-arg "PYTHON=$1"} --file packaging/Containerfile \
    --tag localhost/tunnelkeeper-check . >/dev/null
container=$(buildah from localhost/tunnelkeeper-check)
root=$(buildah mount "$container")
# What the image says about its start, as lines for sh.
buildah inspect --type image localhost/tunnelkeeper-check | python3 -c '
import json, shlex, sys
image = json.load(sys.stdin)
settings = image["OCIv1"]["config"]
print("user=" + shlex.quote(settings["User"]))
print("environment=" + shlex.quote(" ".join(map(shlex.quote, settings["Env"]))))
print("command=" + shlex.quote(shlex.join(settings["Entrypoint"] + settings["Cmd"])))
print("signal=" + shlex.quote(settings.get("StopSignal", "SIGTERM").removeprefix("SIG")))
' >"$folder/settings"
# shellcheck source=/dev/null
. "$folder/settings"
[ "$user" = 10001:10001 ] || fail "the user is $user"

echo "== a server, a key and a config file"
ssh-keygen -q -t ed25519 -N '' -f "$folder/host_key"
ssh-keygen -q -t ed25519 -N '' -f "$folder/id_ed25519"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
local=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
mkdir -p /run/sshd
"$(PATH="$PATH:/usr/sbin" command -v sshd)" -D -f /dev/null -p "$port" -o ListenAddress=127.0.0.1 \
    -o HostKey="$folder/host_key" -o AuthorizedKeysFile="$folder/id_ed25519.pub" \
    -o StrictModes=no -o PermitRootLogin=prohibit-password -o UsePAM=no -o PidFile=none \
    2>"$folder/sshd.log" &
sshd=$!
cat >"$folder/tunnels.toml" <<TOML
[tunnels.t]
host = "root@127.0.0.1:$port"
local = ["$local:127.0.0.1:$port"]
TOML
echo "[127.0.0.1]:$port $(cut -d' ' -f1,2 "$folder/host_key.pub")" >"$folder/known_hosts"
chmod 0644 "$folder/tunnels.toml" "$folder/known_hosts"
# As the files of a Secret: root's, and readable for the group of the container.
chgrp 10001 "$folder/id_ed25519"
chmod 0440 "$folder/id_ed25519"

echo "== start with a read-only root"
cat >"$folder/start" <<START
set -e
root=$root
mount --bind "\$root" "\$root"
mount -t proc proc "\$root/proc"
mount -t tmpfs -o mode=0755 tmpfs "\$root/dev"
mkdir -m 1777 "\$root/dev/shm"
mount -t tmpfs -o mode=1777,nosuid,nodev,noexec tmpfs "\$root/dev/shm"
mknod -m 0666 "\$root/dev/null" c 1 3
mknod -m 0666 "\$root/dev/urandom" c 1 9
for file in tunnels.toml:/etc/tunnelkeeper/tunnels.toml \
    id_ed25519:/var/lib/tunnelkeeper/.ssh/id_ed25519 known_hosts:/var/lib/tunnelkeeper/.ssh/known_hosts; do
    touch "\$root\${file#*:}"
    mount --bind "$folder/\${file%%:*}" "\$root\${file#*:}"
    mount -o remount,bind,ro "\$root\${file#*:}"
done
mount -o remount,bind,ro "\$root"
cd "\$root"
exec env -i $environment $(command -v chroot) --userspec=$user --groups=10001 "\$root" $command
START
unshare --mount --pid --fork sh "$folder/start" >"$folder/log" 2>&1 &
started=$!
# Runs a command in the container, as its user.
inside() {
    first=$(cat "/proc/$started/task/$started/children")
    # shellcheck disable=SC2086
    eval nsenter --target $first --mount --pid -- env -i $environment \
        "$(command -v chroot)" --userspec="$user" --groups=10001 "$root" "$@"
}
health='tunnelkeeper status >/dev/null 2>&1; test $? -le 1'
grep -qF "$health" packaging/Containerfile || fail "the health check of the image is another one"
eventually inside sh -c "'$health'"
echo "healthy"
eventually inside tunnelkeeper status
inside tunnelkeeper status
[ "$(timeout 5 bash -c "exec 3<>/dev/tcp/127.0.0.1/$local; head -c 8 <&3")" = "SSH-2.0-" ] ||
    fail "the tunnel carries no data"
inside sh -c "'touch /var/lib/tunnelkeeper/x /etc/x 2>/dev/null'" && fail "the root can be written"
[ "$(inside id -u)" = 10001 ] || fail "another user"
first=$(cat "/proc/$started/task/$started/children")
grep -q '^CapEff:\s*0*$' "/proc/${first%% *}/status" || fail "it has capabilities"

echo "== SIG$signal"
kill -s "$signal" "${first%% *}"
code=0
wait "$started" || code=$?
started=""
[ "$code" = 0 ] || fail "it ended with $code"
grep -q "ended" "$folder/log" || fail "it did not say that it ended"
echo "good: healthy, carried data with a read-only root, and ended with 0 after SIG$signal"

#!/bin/sh
# Installs, runs, upgrades, removes and purges the Debian package on a fresh Debian that was booted
# for it, with systemd, in a container of its own. Needs root, mmdebstrap and systemd-nspawn.
#
# usage: packaging/deb-check.sh OLD.deb NEW.deb
set -eu

old=$(realpath "$1") new=$(realpath "$2")
here=$(realpath "$(dirname "$0")")
folder=$(realpath -m "${DEB_CHECK_FOLDER:-build/deb-check}")
suite=${DEB_CHECK_SUITE:-bookworm}

for program in mmdebstrap systemd-nspawn; do
    command -v "$program" >/dev/null || {
        echo "$program is not installed; install it: apt-get install mmdebstrap systemd-container"
        exit 1
    }
done
[ "$(id -u)" = 0 ] || { echo "only root can boot a container; run it with sudo"; exit 1; }

mkdir -p "$folder"
if [ ! -e "$folder/$suite.tar" ]; then
    echo "== a Debian of its own ($suite): $folder/$suite.tar"
    # What a server has; none of the packages that tunnelkeeper depends on.
    mmdebstrap --quiet --format=tar --variant=minbase \
        --include=systemd-sysv,dbus,libpam-systemd,openssh-server,man-db,procps,iproute2,lintian \
        "$suite" "$folder/$suite.part"
    mv "$folder/$suite.part" "$folder/$suite.tar"
fi

root=$(mktemp -d "$folder/root.XXXXXX")
trap 'rm -rf --one-file-system "$root"' EXIT
tar -xpf "$folder/$suite.tar" -C "$root"
install -m 0644 "$old" "$root/root/old.deb"
install -m 0644 "$new" "$root/root/new.deb"
install -m 0755 "$here/deb-check-inside.sh" "$root/root/check"
cat >"$root/etc/systemd/system/deb-check.service" <<'UNIT'
[Unit]
After=multi-user.target
SuccessAction=exit-force
FailureAction=exit-force
[Service]
Type=oneshot
Environment=HOME=/root LANG=C.UTF-8
ExecStart=/root/check
StandardOutput=file:/root/output
StandardError=inherit
TimeoutStartSec=900
[Install]
WantedBy=multi-user.target
UNIT
ln -s ../deb-check.service "$root/etc/systemd/system/multi-user.target.wants/deb-check.service" \
    2>/dev/null || {
    mkdir -p "$root/etc/systemd/system/multi-user.target.wants"
    ln -s ../deb-check.service "$root/etc/systemd/system/multi-user.target.wants/"
}

# apt runs before the boot, with the network of this machine; the booted container has none.
code=0
systemd-nspawn --quiet --register=no --keep-unit --pipe --directory "$root" sh -c '
    set -e
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    # Its dependencies, so that the package can be installed without a network.
    apt-get install -qq --no-install-recommends --simulate /root/old.deb |
        sed -n "s/^Inst \([^ ]*\).*/\1/p" | grep -v "^tunnelkeeper$" |
        xargs apt-get install -qq --no-install-recommends openssh-client >/dev/null' || code=$?
if [ "$code" = 0 ]; then
    echo "== booting"
    systemd-nspawn --quiet --register=no --keep-unit --private-network --boot --console=pipe \
        --directory "$root" </dev/null >"$folder/console.log" 2>&1 || code=$?
    cat "$root/root/output"
fi
[ "$code" = 0 ] && echo "good: installed, ran, upgraded, removed and purged" && exit 0
echo "failed with exit code $code; what the container printed is in $folder/console.log"
exit 1

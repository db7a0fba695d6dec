#!/bin/sh
# Runs the single file with each Python that this machine has, in an empty home: the version, the
# demo, a supervisor in the background, and a unit.
#
# usage: packaging/zipapp-check.sh dist/tunnelkeeper.pyz
set -eu

file=$(realpath "$1")
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# Tries a command until it succeeds, for 30 seconds.
eventually() {
    for _ in $(seq 150); do
        if "$@" >/dev/null 2>&1; then return 0; fi
        sleep 0.2
    done
    echo "FAILED: never: $*"
    exit 1
}

tried=0
for python in python3.11 python3.12 python3.13; do
    "$python" --version >/dev/null 2>&1 || { echo "== $python: not installed, skipped"; continue; }
    echo "== $python"
    home=$folder/$python
    mkdir -p -m 0700 "$home/.config/tunnelkeeper" "$home/.ssh" "$home/run"
    run() {
        env -i PATH="$PATH" HOME="$home" XDG_RUNTIME_DIR="$home/run" LANG=C.UTF-8 \
            "$python" "$file" "$@"
    }
    run --version
    run demo --check | tail -n 1
    # Nothing listens there: the supervisor has to run and to say so.
    printf '[tunnels.t]\nhost = "127.0.0.1:1"\nlocal = ["%s:127.0.0.1:1"]\n' "$home/run/t.sock" \
        >"$home/.config/tunnelkeeper/tunnels.toml"
    run up --detach || true
    eventually sh -c "env -i HOME='$home' XDG_RUNTIME_DIR='$home/run' PATH='$PATH' \
        '$python' '$file' status | grep -q 'backoff.*refused'"
    run down
    run units print | grep -q "^ExecStart=$file up\$" || {
        echo "FAILED: the unit does not start the file"
        exit 1
    }
    tried=$((tried + 1))
done
[ "$tried" -gt 0 ] || { echo "FAILED: there is no Python that the file serves"; exit 1; }
echo "good with $tried versions of Python"

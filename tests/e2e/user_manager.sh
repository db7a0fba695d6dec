# Run by tests/e2e/systemd.py as root in new mount and PID namespaces: sets up the machine of one
# ordinary user and is its first process. Arguments: the directory of the test, the
# user's id, its cgroup, systemd, and the paths that the user must be able to read.
set -eu
directory=$1 uid=$2 cgroup=$3 systemd=$4
shift 4

stage() { printf '%s/stage/%s' "$directory" "$1"; }

# Mount each path again, so that the user can read it below a closed directory.
number=0
for path in "$@"; do
  number=$((number + 1))
  mkdir -p "$(stage $number)"
  mount --bind "$path" "$(stage $number)"
done
number=0
for path in "$@"; do
  number=$((number + 1))
  closed=
  above=$path
  while [ "$above" != / ]; do
    above=$(dirname "$above")
    case $(stat -c %A "$above") in *x | *t) ;; *) closed=$above ;; esac
  done
  if [ -n "$closed" ]; then
    mount -t tmpfs -o mode=755 none "$closed"
  fi
  if [ ! -e "$path" ]; then
    mkdir -p "$path"
    mount --bind "$(stage $number)" "$path"
  fi
done

mount --bind "$directory/run" /run
mount --bind "$directory/passwd" /etc/passwd
mount -t cgroup2 none /sys/fs/cgroup
mkdir "/sys/fs/cgroup/$cgroup"
echo $$ > "/sys/fs/cgroup/$cgroup/cgroup.procs"
chown -R "$uid:$uid" "/sys/fs/cgroup/$cgroup"

cd /
# Not exec: this shell stays, so that the end of the manager is not the end of the machine.
setpriv --reuid "$uid" --regid "$uid" --clear-groups env -i \
  HOME="$directory/home" USER=tk LOGNAME=tk SHELL=/bin/sh LANG=C.UTF-8 \
  PATH=/usr/local/bin:/usr/bin:/bin XDG_RUNTIME_DIR="/run/user/$uid" \
  SYSTEMD_LOG_TARGET=console SYSTEMD_LOG_LEVEL=info \
  "$systemd" --user

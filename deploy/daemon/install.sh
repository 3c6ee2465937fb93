#!/bin/sh
# Install the daemon on a Debian 12 VM; run as root by the image's recipe, from a checkout of this repository.
set -eu

if [ "$(id -u)" -ne 0 ]; then
    echo "Run this as root: it installs packages and units." >&2
    exit 1
fi

here=$(cd "$(dirname "$0")/../.." && pwd)
export DEBIAN_FRONTEND=noninteractive
apt-get update
apt-get install -y --no-install-recommends \
    python3 python3-venv nftables iproute2 sudo tmux git openssh-client ca-certificates

# Not below anybody's home, and writable by root alone.
install -d -m 0755 /opt/envforge
python3 -m venv /opt/envforge/venv
/opt/envforge/venv/bin/pip install --no-cache-dir "${here}[daemon]"
install -d -m 0755 /opt/envforge/docs
install -m 0644 "$here/docs/daemon.md" /opt/envforge/docs/

install -d -m 0700 /etc/envforge
install -d -m 0711 /srv/envforge
install -m 0644 "$here"/deploy/daemon/*.service /etc/systemd/system/

# No core of anybody is kept, whatever handler the distribution brings.
printf 'kernel.core_pattern=|/bin/false\nfs.suid_dumpable=0\nfs.protected_symlinks=1\nfs.protected_hardlinks=1\nkernel.yama.ptrace_scope=1\n' \
    > /etc/sysctl.d/60-envforge.conf

# The user data writes /etc/envforge/host.json and starts the units.
systemctl enable envforge-workspaces.service envforge-daemon.service

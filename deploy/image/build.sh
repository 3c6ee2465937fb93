#!/bin/sh
# Make the base image of VMs: run as root on a fresh Debian 12 instance, from a checkout of this repository (docs/image.md).
# What is left on the disk afterwards is what every VM starts with; nothing of it belongs to anybody.
set -eu

if [ "$(id -u)" -ne 0 ]; then
    echo "Run this as root: it installs packages and units." >&2
    exit 1
fi
# shellcheck source=/dev/null
. /etc/os-release
if [ "${ID:-}" != debian ] || [ "${VERSION_ID:-}" != 12 ]; then
    echo "This recipe is for Debian 12, this is ${PRETTY_NAME:-another system}. Start from a Debian 12 image." >&2
    exit 1
fi

here=$(cd "$(dirname "$0")/../.." && pwd)
version=$(cat "$here/deploy/image/VERSION")
export DEBIAN_FRONTEND=noninteractive

apt-get update
apt-get -y upgrade
apt-get install -y --no-install-recommends \
    ca-certificates cloud-init curl git tmux less \
    nodejs npm python3 python3-venv python3-dev python3-pip \
    build-essential pkg-config \
    sudo nftables iproute2 openssh-client \
    unattended-upgrades

# Tailscale, for organizations with private access: Debian 12 has no package of it, so its vendor's repository must be set up
# before this script (docs/image.md). Without it the image is whole, and cannot join a tailnet.
if apt-cache show tailscale >/dev/null 2>&1; then
    apt-get install -y --no-install-recommends tailscale
    # Each connection runs in its workspace's namespace; one for the whole VM would be everybody's.
    systemctl disable --now tailscaled.service
else
    echo "No tailscale package is known here: this image cannot join a tailnet." >&2
fi

# The daemon, its environment in /opt/envforge and its units. The user data of a VM writes the daemon's file and starts it; until
# then the unit's condition holds it back.
"$here/deploy/daemon/install.sh"

# Nobody sees another's processes. The daemon, as root, does; logind and polkit need the group.
groupadd --system --force procview
if ! grep -q '^proc /proc ' /etc/fstab; then
    echo 'proc /proc proc nosuid,nodev,noexec,hidepid=2,gid=procview 0 0' >> /etc/fstab
fi
for unit in systemd-logind polkit; do
    install -d -m 0755 "/etc/systemd/system/$unit.service.d"
    printf '[Service]\nSupplementaryGroups=procview\n' > "/etc/systemd/system/$unit.service.d/procview.conf"
done

# People come in through the daemon's own SSH server, with certificates; nobody logs in to the VM itself.
if systemctl list-unit-files ssh.service | grep -q '^ssh.service'; then
    systemctl disable ssh.service
    systemctl mask ssh.service
fi
systemctl enable nftables.service

printf '%s\n' "$version" > /opt/envforge/image-version
chmod 0644 /opt/envforge/image-version

# What would make two VMs the same, or tell of the build.
apt-get clean
rm -rf /var/lib/apt/lists/* /root/.cache /root/.bash_history /root/.ssh /home/*/.ssh/authorized_keys
rm -f /etc/ssh/ssh_host_* /var/lib/dbus/machine-id /var/lib/systemd/random-seed
: > /etc/machine-id
cloud-init clean --logs

echo "This disk is EnvForge's base image $version. Stop the instance and make the image of it."

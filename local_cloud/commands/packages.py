"""The Debian packages that VMs of the local cloud need of this machine, installed where we may."""

import os
import shutil
from collections.abc import Mapping

from local_cloud.bootstrap import apt_get_install
from local_cloud.console import Console
from local_cloud.environment import SYSTEM_PATH
from local_cloud.errors import LocalCloudError

# Program, and the package that has it.
NEEDED = {
    "nft": "nftables",
    "ip": "iproute2",
    "sudo": "sudo",
    "tmux": "tmux",
    "ssh": "openssh-client",
    "git": "git",
}
# What tests alone try here: of VMs in AWS the way to files on EFS and a disk's first format; and a reader of the image's scripts.
TRIED = {
    "stunnel4": "stunnel4",
    "mkfs.ext4": "e2fsprogs",
    "shellcheck": "shellcheck",
}


def missing(programs: Mapping[str, str]) -> list[str]:
    """The packages whose programs are not here."""
    return [
        package for program, package in programs.items() if shutil.which(program, path=SYSTEM_PATH) is None
    ]


def prepare_machine(console: Console, programs: Mapping[str, str] = NEEDED) -> None:
    """Install what VMs need as root; otherwise say what is missing, and how to have it. Never fails."""
    wanted = missing(programs)
    if not wanted:
        return
    line = f"apt-get install -y {' '.join(wanted)}"
    if os.geteuid() == 0 and shutil.which("apt-get"):
        console.say(f"VMs need {', '.join(wanted)}; root may install that, so it is done.")
        try:
            apt_get_install(" ".join(wanted), console)
        except LocalCloudError as error:
            console.say(f"{error}\nVMs run without these; what needs them is not in force there.")
        return
    console.say(f"VMs lack {', '.join(wanted)} here; what needs them is not in force. Have root run: {line}")

"""What a VM is told when it is made: who it is and whom to ask. No secret: every process on a VM can read its user data."""

import json
from typing import Any

from django.conf import settings

from hosts.ec2 import INGRESS_PORTS
from hosts.models import Host

HOST_FILE = "/etc/envforge/host.json"


def user_data(host: Host, image_version: str) -> str:
    """A cloud-config document (cloud-init) that writes `HOST_FILE` and starts the daemon.

    The file holds `control_plane` (an address), `host_id`, `generation`, `role`, `region`, `image`, the
    `ports` that may become ingress ports and the `gateway_addresses` that may reach them.
    """
    told = {
        "control_plane": settings.HOST_API_URL,
        "host_id": str(host.id),
        "generation": host.generation,
        "role": host.role,
        "region": settings.AWS_REGION,
        "image": image_version,
        "ports": {"first": INGRESS_PORTS[0], "last": INGRESS_PORTS[1]},
        "gateway_addresses": list(settings.GATEWAY_NETWORKS),
    }
    if host.dedicated_to is not None:
        # Root is given on a VM of one workspace alone (THREATS H5).
        told["dedicated_to"] = str(host.dedicated_to)
    document: dict[str, Any] = {
        "write_files": [
            {
                "path": HOST_FILE,
                "owner": "root:root",
                "permissions": "0644",
                "content": json.dumps(told, indent=2) + "\n",
            }
        ],
        "runcmd": [["systemctl", "enable", "--now", "envforge-daemon.service"]],
    }
    # JSON is YAML, and has one way to write a text.
    return f"#cloud-config\n{json.dumps(document, indent=2)}\n"

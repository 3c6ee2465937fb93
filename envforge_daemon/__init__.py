"""The program on every VM: it does what the control plane leases to it, and keeps organizations' code behind walls (DESIGN 6).

`isolation` is the walls, `ingress` the way in from the gateways, `commands` what the VM is asked to do, `reports` and
`heartbeat` what it tells. `composition` names the parts that do the work of shells and services.
"""

VERSION = "0.1.0"

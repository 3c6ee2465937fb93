"""What the control plane and the daemon on a VM say to each other, version 1 (DESIGN 6, THREATS H4, K2).

`joining` is how a VM proves which one it is; `commands` what it is asked to do; `reports` what it tells; `workspaces` and
`runtimes` the things both speak of.
"""

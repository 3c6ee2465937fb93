"""Machine steps from what is wanted of workspaces to what was seen of them, as SYSTEM; safe to run twice, anywhere (W11).

Each step is one transaction that locks Workspace, then Shell or Runtime, and asks VMs through `hosts.queue` and
`hosts.placement`, which lock VMs after that. What VMs answer and what becomes of them is written down by `workspaces.received`
and `workspaces.news`, which lock no VM.
"""

"""What the control plane and a gateway process say to each other, version 1 (DESIGN 8, THREATS G1-G5).

`identity` is how a process gets and keeps its identity; `link_tokens` what stands in a share link; `opening` how a link or a
member's sign-in becomes a session; `decisions` what a session may reach; `waking` and `activity` what a session causes; `events`
what the control plane tells without being asked; `shells` the relay of one SSH connection. `docs/gateway-protocol.md` is the whole.
"""

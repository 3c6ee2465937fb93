"""The shell half of the VM's program: working trees, SSH, root windows (W5, R3; THREATS H1, H2, H5, H7).

`part` does the commands. `checkout` and `git` make working trees as the workspace's account; `certificates` decides who may
come in, `server` and `sessions` serve them; `root` keeps root windows; `known` is what of it survives a restart.
"""

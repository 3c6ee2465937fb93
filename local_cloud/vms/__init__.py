"""The VM simulator: every running instance of the AWS endpoint gets a VM on this machine.

A VM is an address of its own in 127.0.0.0/8 (the instance's private address, which DescribeInstances gives), a metadata
service there, a disk that dies with the instance, and a tree of processes that begins with an init and the daemon that the
instance's user data asks for. The product has no part in it: it talks to EC2, and the daemon to its metadata service.

- `simulator`: compares what EC2 wants with what runs, a few times a second, and takes the steps that are missing.
- `machines`: one VM: its directory, its record, its processes. `boot`: its init, the program all others descend from.
- `user_data`: cloud-config, as far as instances of EnvForge use it.
- `metadata`: IMDSv2.
- `tampering`: what `./dev vm` and tests do to a VM behind EC2's back.
- `traces`: what a dead VM may have left in the kernel, and taking it away.

As root a VM has namespaces of its own for processes, mounts (a root disk laid over this machine's), host name and IPC: with its
init, all of it ends. Network and account numbers are shared with the machine. As another user it is a tree of ordinary
processes, ended by walking it. Version 1 of the metadata service is always refused; the hop limit cannot be had on loopback,
where no hop is counted.
"""

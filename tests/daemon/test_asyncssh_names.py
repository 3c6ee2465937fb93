"""What the shell's server takes of asyncssh by a private name: no public one leads to a certificate's serial and id."""

import inspect

import asyncssh


def test_asyncssh_still_looks_at_certificates_where_we_do() -> None:
    """`envforge_daemon.shell.server` puts itself before this method. Where a later version has another, nobody comes in."""
    server = asyncssh.SSHServerConnection
    looks = server._validate_openssh_certificate
    assert inspect.iscoroutinefunction(looks)
    assert list(inspect.signature(looks).parameters) == ["self", "username", "cert"], asyncssh.__version__
    # Asked of the connection, so that what stands before it there is asked.
    asks = inspect.getsource(server)
    assert "self._validate_openssh_certificate(" in asks
    assert "export_certificate" in dir(asyncssh.SSHCertificate)

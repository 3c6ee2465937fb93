"""E2: what a customer names is resolved, checked and pinned; no redirect, no drip and no flood gets through."""

import datetime as dt
import http.server
import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from envforge import egress
from envforge.egress import EgressRefused, Trouble, call, require_callable
from tests.product.elsewhere import Elsewhere, Handler, serve

__all__ = ["serve"]  # a fixture


@pytest.fixture(autouse=True)
def production(settings: Any) -> None:
    """As in production: no network but the public ones."""
    settings.EGRESS_ALLOWED_NETWORKS = ()


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[list[str]]]:
    """What a name server answers to these names, one list of addresses for each time it is asked."""
    told: dict[str, list[list[str]]] = {}
    asked_really = socket.getaddrinfo

    def answer(host: Any, *others: Any, **more: Any) -> Any:
        if host not in told:
            return asked_really(host, *others, **more)
        following = told[host]
        addresses = following.pop(0) if len(following) > 1 else following[0]
        return [
            (
                socket.AF_INET6 if ":" in one else socket.AF_INET,
                socket.SOCK_STREAM,
                6,
                "",
                (one, 0, 0, 0) if ":" in one else (one, 0),
            )
            for one in addresses
        ]

    monkeypatch.setattr(socket, "getaddrinfo", answer)
    return told


def trouble(url: str, **how: Any) -> Trouble:
    with pytest.raises(EgressRefused) as refused:
        call("GET", url, **how)
    return refused.value.trouble


@pytest.mark.parametrize(
    "address",
    [
        *("127.0.0.1", "127.8.9.1", "10.0.0.1", "172.16.5.5", "192.168.1.1", "169.254.169.254", "0.0.0.0"),  # noqa: S104
        *("100.64.0.1", "192.0.0.8", "192.0.2.1", "198.18.0.1", "203.0.113.9", "224.0.0.1", "240.0.0.1"),
        *("255.255.255.255", "192.88.99.1", "::1", "::", "fe80::1", "fc00::1", "fd00:ec2::254", "ff02::1"),
        *("::ffff:127.0.0.1", "::ffff:169.254.169.254", "::ffff:0:127.0.0.1", "::127.0.0.1"),
        *("64:ff9b::127.0.0.1", "64:ff9b::a9fe:a9fe", "64:ff9b:1::a00:1", "2002:7f00:1::", "2001:0:1::1"),
        *("2001:db8::1", "fec0::1", "100::1", "5f00::1"),
    ],
)
def test_e2_no_name_and_no_number_leads_to_an_address_that_is_not_public(
    names: dict[str, list[list[str]]], address: str
) -> None:
    names["forge.test"] = [[address]]
    assert trouble("https://forge.test/") is Trouble.ADDRESS
    names["forge.test"] = [["93.184.215.14", address]]  # one among public ones is enough
    assert trouble("https://forge.test/") is Trouble.ADDRESS
    spelled = f"[{address}]" if ":" in address else address
    assert trouble(f"https://{spelled}/") is Trouble.ADDRESS


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "2606:4700::6810:84e5", "64:ff9b::5db8:d70e", "::ffff:93.184.215.14"]
)
def test_e2_public_addresses_are_called(address: str) -> None:
    from envforge.egress_addresses import may_be_reached

    assert may_be_reached(ipaddress.ip_address(address), ())


@pytest.mark.parametrize(
    "url",
    [
        *("https://2130706433/", "https://017700000001/", "https://0x7f000001/", "https://0x7f.1/"),
        *(
            "https://0177.0.0.1/",
            "https://127.1/",
            "https://127.0.1/",
            "https://1.1.1.1.1/",
            "https://a.0x7f/",
        ),
        *("https://127.0.0.1./", "https://2130706433./", "https://①②⑦.⓪.⓪.①/", "https://forge。test/"),
        *("https://user@forge.test/", "https://user:pass@forge.test/", "https://forge.test@127.0.0.1/"),
        *(
            "http:///",
            "https://",
            "ftp://forge.test/",
            "file:///etc/passwd",
            "gopher://forge.test/",
            "//forge.test/",
        ),
        *(
            "https://forge.test:0/",
            "https://forge.test:99999/",
            "https://forge.test:x/",
            "https://for ge.test/",
        ),
        *(
            "https://forge.test\\@127.0.0.1/",
            "https://forge.test/\r\nX: y",
            "https://forge.test/#x",
            "https://[::1",
        ),
        *(
            f"https://{'a' * 64}.test/",
            f"https://forge.test/{'a' * 600}",
            "https://-forge.test/",
            "https://forge..test/",
        ),
    ],
)
def test_e2_numbers_in_disguise_and_addresses_with_more_in_them_are_refused_before_any_name_is_asked(
    names: dict[str, list[list[str]]], url: str
) -> None:
    names["forge.test"] = [["127.0.0.1"]]
    assert trouble(url) is Trouble.URL
    with pytest.raises(EgressRefused):
        require_callable(url)


def test_e2_plain_http_is_for_networks_the_operator_has_named(
    serve: Callable[..., Elsewhere], names: dict[str, list[list[str]]], settings: Any
) -> None:
    there = serve()
    names["forge.test"] = [["93.184.215.14"]]
    assert trouble("http://forge.test/") is Trouble.URL
    names["inside.test"] = [["127.0.0.1"]]
    assert trouble(f"http://inside.test:{there.port}/") is Trouble.ADDRESS
    settings.EGRESS_ALLOWED_NETWORKS = ("127.0.0.1/32",)
    answer = call("GET", f"http://inside.test:{there.port}/x?y=1", headers={"Authorization": "Bearer t"})
    assert (answer.status, answer.json(), there.asked) == (200, {"ok": True}, ["/x?y=1"])
    assert there.headers[0]["authorization"] == "Bearer t"
    assert there.headers[0]["host"] == f"inside.test:{there.port}"


def test_e2_a_name_that_changes_between_check_and_connection_is_reached_where_it_was_checked(
    serve: Callable[..., Elsewhere], names: dict[str, list[list[str]]], settings: Any
) -> None:
    settings.EGRESS_ALLOWED_NETWORKS = ("127.0.0.2/32",)
    checked = serve(host="127.0.0.2")
    names["rebinding.test"] = [["127.0.0.2"], ["127.0.0.1"]]
    assert call("GET", f"http://rebinding.test:{checked.port}/").status == 200
    assert checked.asked == ["/"]
    # Asked again the name server gives the other: it was asked once.
    assert trouble(f"http://rebinding.test:{checked.port}/") is Trouble.ADDRESS


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308])
def test_e2_no_redirect_is_followed(serve: Callable[..., Elsewhere], settings: Any, status: int) -> None:
    settings.EGRESS_ALLOWED_NETWORKS = ("127.0.0.1/32",)
    inside = serve()

    def away(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(status)
        request.send_header("Location", f"http://127.0.0.1:{inside.port}/latest/meta-data")
        request.send_header("Content-Length", "0")
        request.end_headers()

    assert trouble(f"http://127.0.0.1:{serve(away).port}/") is Trouble.REDIRECT
    assert inside.asked == []


def _drip_headers(request: http.server.BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.0 200 OK\r\n")
    for number in range(200):
        request.wfile.write(f"X-{number}: 1\r\n".encode())
        request.wfile.flush()
        time.sleep(0.05)


def _drip_body(request: http.server.BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 100000\r\n\r\n")
    for _ in range(200):
        request.wfile.write(b"x")
        request.wfile.flush()
        time.sleep(0.05)


@pytest.mark.parametrize("drip", [_drip_headers, _drip_body, lambda _: time.sleep(3)])
def test_e2_a_slow_drip_ends_when_the_time_is_over(
    serve: Callable[..., Elsewhere], settings: Any, drip: Handler
) -> None:
    settings.EGRESS_ALLOWED_NETWORKS = ("127.0.0.1/32",)
    began = time.monotonic()
    assert trouble(f"http://127.0.0.1:{serve(drip).port}/", within_s=0.4) is Trouble.TOO_SLOW
    assert time.monotonic() - began < 2


def test_e2_a_name_server_that_does_not_answer_holds_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_a, **_k: over.wait(10) and [])
    began = time.monotonic()
    try:
        assert trouble("https://forge.test/", within_s=0.3) is Trouble.TOO_SLOW
        assert time.monotonic() - began < 2
    finally:
        over.set()


def _flood(request: http.server.BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    request.end_headers()
    for _ in range(1000):
        request.wfile.write(b"x" * 65536)


def _flood_of_headers(request: http.server.BaseHTTPRequestHandler) -> None:
    request.wfile.write(b"HTTP/1.0 200 OK\r\nX: " + b"x" * 1_000_000 + b"\r\n\r\n")


def test_e2_a_huge_answer_is_cut_off(serve: Callable[..., Elsewhere], settings: Any) -> None:
    settings.EGRESS_ALLOWED_NETWORKS = ("127.0.0.1/32",)
    assert trouble(f"http://127.0.0.1:{serve(_flood).port}/") is Trouble.TOO_LARGE
    assert trouble(f"http://127.0.0.1:{serve(_flood_of_headers).port}/") is Trouble.NO_ANSWER


@pytest.mark.parametrize("content", [b"[" * 65_536, b'{"a":' * 10_000, b"", b"<html>", b"\xff\xfe"])
def test_e2_an_answer_that_is_no_honest_json_is_none(content: bytes) -> None:
    """E2: also one that is nested so deeply that reading it would exhaust the interpreter."""
    assert egress.Answer(200, content).json() is None


def test_e2_nothing_compressed_is_unpacked(serve: Callable[..., Elsewhere], settings: Any) -> None:
    settings.EGRESS_ALLOWED_NETWORKS = ("127.0.0.1/32",)
    import gzip

    packed = gzip.compress(b"x" * 10_000_000)

    def answer(request: http.server.BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Encoding", "gzip")
        request.send_header("Content-Length", str(len(packed)))
        request.end_headers()
        request.wfile.write(packed)

    there = serve(answer)
    assert call("GET", f"http://127.0.0.1:{there.port}/").content == packed
    assert there.headers[0]["accept-encoding"] == "identity"


def _certificate(directory: Path, name: str) -> tuple[ssl.SSLContext, Path]:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    public, private = directory / f"{name}.pem", directory / f"{name}.key"
    public.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(public, private)
    return context, public


def test_e2_tls_verifies_the_name_though_the_address_is_pinned(
    serve: Callable[..., Elsewhere],
    names: dict[str, list[list[str]]],
    settings: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.EGRESS_ALLOWED_NETWORKS = ("127.0.0.1/32",)
    context, authority = _certificate(tmp_path, "forge.test")
    there = serve(context=context)
    names["forge.test"] = names["other.test"] = [["127.0.0.1"]]
    assert trouble(f"https://forge.test:{there.port}/") is Trouble.CERTIFICATE  # nobody trusts its authority
    monkeypatch.setenv("SSL_CERT_FILE", str(authority))
    egress._trust.cache_clear()
    try:
        assert call("GET", f"https://forge.test:{there.port}/").status == 200
        assert trouble(f"https://other.test:{there.port}/") is Trouble.CERTIFICATE
    finally:
        egress._trust.cache_clear()


def test_e2_whatever_goes_wrong_the_error_holds_nothing_that_was_sent_or_answered(
    serve: Callable[..., Elsewhere], settings: Any
) -> None:
    settings.EGRESS_ALLOWED_NETWORKS = ("127.0.0.1/32",)
    with pytest.raises(EgressRefused) as refused:
        call(
            "POST",
            f"http://127.0.0.1:{serve(_drip_body).port}/",
            headers={"Authorization": "Bearer canary-in-a-header"},
            body={"said": "canary-in-a-body"},
            within_s=0.3,
        )
    error: BaseException | None = refused.value
    assert error is not None
    assert error.__cause__ is None
    assert error.__context__ is None
    frames = error.__traceback__
    while frames is not None:
        if frames.tb_frame.f_code.co_filename == egress.__file__:
            assert "canary" not in repr(frames.tb_frame.f_locals)
        frames = frames.tb_next
    assert "x" not in repr(egress.Answer(200, b"xxxx")).replace("content", "")

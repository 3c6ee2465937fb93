"""Starting: a wrong clients file or argument stops it with a message that names what and where."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from local_cloud.issuer.clients import ClientsFileError, load_clients
from tests.issuer.conftest import CLIENTS, SECRET

GOOD = CLIENTS[0]


def written(tmp_path: Path, document: object) -> Path:
    path = tmp_path / "clients.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document), "utf-8")
    return path


def test_a_good_file_is_read_whole_and_keeps_its_secrets_out_of_sight(tmp_path: Path) -> None:
    clients = load_clients(written(tmp_path, CLIENTS))
    assert list(clients) == ["console", "phone"]
    assert clients["console"].redirect_uris == tuple(GOOD["redirect_uris"])
    assert clients["console"].knows_secret(SECRET)
    assert not clients["phone"].knows_secret("")
    assert SECRET not in repr(clients)


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("[{", "is not JSON: "),
        ("{}", "must be a list of at least one client"),
        ([], "must be a list of at least one client"),
        (["console"], "client 1: must be an object"),
        ([GOOD, {**GOOD, "client_id": "two", "redirect_uri": "x"}], "client 2: unknown field 'redirect_uri'"),
        (
            [{k: v for k, v in GOOD.items() if k != "client_secret"}],
            "client 1: field 'client_secret' is missing",
        ),
        ([{**GOOD, "client_id": ""}], "client 1: client_id: must be text"),
        ([{**GOOD, "client_secret": ""}], "client 1: client_secret: must be text"),
        ([{**GOOD, "name": 7}], "client 1: name: must be text"),
        ([{**GOOD, "redirect_uris": []}], "client 1: redirect_uris: must be a list of at least 1"),
        ([{**GOOD, "redirect_uris": "http://localhost/"}], "client 1: redirect_uris: must be a list"),
        (
            [{**GOOD, "redirect_uris": ["http://localhost/", "javascript:0"]}],
            "redirect_uris[1]: 'javascript:0' must be",
        ),
        (
            [{**GOOD, "redirect_uris": ["http://localhost/#x"]}],
            "redirect_uris[0]: 'http://localhost/#x' must be",
        ),
        ([{**GOOD, "post_logout_redirect_uris": ["/bye"]}], "post_logout_redirect_uris[0]: '/bye' must be"),
        ([GOOD, GOOD], "client 2: client_id 'console' is used twice"),
    ],
)
def test_a_malformed_file_is_named_with_the_place(tmp_path: Path, document: Any, said: str) -> None:
    path = written(tmp_path, document)
    with pytest.raises(ClientsFileError) as caught:
        load_clients(path)
    assert str(path) in str(caught.value)
    assert said in str(caught.value)


def started(tmp_path: Path, clients: Path, **changes: str) -> subprocess.CompletedProcess[str]:
    options = {"--port": "9", "--state": str(tmp_path / "state"), "--issuer": "http://localhost:9", **changes}
    arguments = [part for option in {**options, "--clients": str(clients)}.items() for part in option]
    command = [sys.executable, "-m", "local_cloud.issuer", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)


def test_the_issuer_does_not_start_on_a_malformed_or_missing_file(tmp_path: Path) -> None:
    malformed = started(tmp_path, written(tmp_path, [{**GOOD, "name": ""}]))
    assert malformed.returncode == 2
    assert malformed.stderr.endswith("clients.json: client 1: name: must be text, and not empty\n")
    assert SECRET not in malformed.stderr
    assert "Traceback" not in malformed.stderr
    missing = started(tmp_path, tmp_path / "nowhere.json")
    assert missing.returncode == 2
    assert "nowhere.json: cannot be read: No such file" in missing.stderr


@pytest.mark.parametrize(
    "url", ["localhost:9", "ftp://localhost", "http://localhost/tenant", "http://localhost?x=1"]
)
def test_the_issuer_identifier_must_be_an_origin(tmp_path: Path, url: str) -> None:
    refused = started(tmp_path, written(tmp_path, CLIENTS), **{"--issuer": url})
    assert refused.returncode == 2
    assert "must look like http://localhost:9000" in refused.stderr

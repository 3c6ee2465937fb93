"""AWS may answer a page with nothing on it and a token for the next one, also where one parameter is asked for."""

import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest
from django.test import override_settings

from secrets_ref import ssm

PATH = "/envforge/00000000000000000000000000000001/org/TOKEN"
FOUND = {
    "Name": PATH,
    "Version": 3,
    "LastModifiedDate": 1_790_000_000.0,
    "Type": "SecureString",
    "KeyId": "k",
}
PAGES = {"": {"Parameters": [], "NextToken": "more"}, "more": {"Parameters": [FOUND]}}


class Store(BaseHTTPRequestHandler):
    """Speaks as much of SSM as DescribeParameters."""

    def do_POST(self) -> None:
        sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        body = json.dumps(PAGES[sent.get("NextToken", "")]).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name there
        """Nothing is written down."""


@pytest.fixture
def hesitant_store() -> Iterator[None]:
    server = HTTPServer(("127.0.0.1", 0), Store)
    Thread(target=server.serve_forever, daemon=True).start()
    with override_settings(AWS_ENDPOINT_URL=f"http://127.0.0.1:{server.server_port}"):
        yield
    server.shutdown()
    server.server_close()


@pytest.mark.usefixtures("hesitant_store")
def test_s1_a_parameter_behind_an_empty_page_is_there() -> None:
    """S1: taken for missing, what somebody else keeps at that path would be written over."""
    found = ssm.describe(PATH)
    assert found is not None
    assert found.version == 3

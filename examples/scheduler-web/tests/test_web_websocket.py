"""The WebSocket frame by frame, over a socket pair: what RFC 6455 asks of a server."""

import socket
import struct
import threading
import unittest

from scheduler_web.websocket import (
    LARGEST_MESSAGE,
    BadHandshake,
    Closed,
    Opcode,
    WebSocket,
    accept,
    frame,
    masked,
)

HEADERS = {
    "host": "web.test",
    "upgrade": "websocket",
    "connection": "keep-alive, Upgrade",
    "sec-websocket-version": "13",
    "sec-websocket-key": "dGhlIHNhbXBsZSBub25jZQ==",
}
MASK = b"\x01\x02\x03\x04"


def sent(first: int, content: bytes = b"", *, mask: bool = True, length: bytes | None = None) -> bytes:
    """A client's frame."""
    flag = 0x80 if mask else 0
    if length is None:
        size = len(content)
        length = bytes([flag | size]) if size < 126 else bytes([flag | 126]) + struct.pack("!H", size)
    return bytes([first]) + length + (MASK + masked(content, MASK) if mask else content)


class Handshake(unittest.TestCase):
    def test_the_answer_is_that_of_the_rfcs_example(self) -> None:
        self.assertIn(b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n", accept("GET", HEADERS))

    def test_what_opens_no_websocket_is_refused(self) -> None:
        for change, status in (
            ({"upgrade": "h2c"}, 426),
            ({"connection": "close"}, 426),
            ({"sec-websocket-version": "8"}, 426),
            ({"sec-websocket-key": "short"}, 400),
            ({"sec-websocket-key": "!" * 24}, 400),
            ({"origin": "http://evil.test"}, 403),
            ({"origin": "null"}, 403),
        ):
            with self.assertRaises(BadHandshake) as caught:
                accept("GET", HEADERS | change)
            self.assertEqual(caught.exception.status, status, change)
        with self.assertRaises(BadHandshake):
            accept("POST", HEADERS)
        accept("GET", HEADERS | {"origin": "http://web.test"})
        accept("GET", HEADERS | {"origin": "https://front.test", "x-forwarded-host": "front.test"})


class Frames(unittest.TestCase):
    def setUp(self) -> None:
        self.client, server = socket.socketpair()
        self.client.settimeout(10)
        self.socket = WebSocket(server, ping_after_s=0.3)
        self.addCleanup(self.client.close)

    def receives(self, content: bytes) -> str:
        self.client.sendall(content)
        return self.socket.receive()

    def read(self) -> tuple[int, bytes]:
        first, length = self._exactly(2)
        return first & 0x0F, self._exactly(length)

    def _exactly(self, count: int) -> bytes:
        found = b""
        while len(found) < count:
            piece = self.client.recv(count - len(found))
            self.assertTrue(piece, "the server closed too early")
            found += piece
        return found

    def closes(self, content: bytes, code: int) -> None:
        self.client.sendall(content)
        with self.assertRaises(Closed):
            self.socket.receive()
        opcode, said = self.read()
        self.assertEqual((opcode, struct.unpack("!H", said[:2])[0]), (8, code))
        self.assertEqual(self.client.recv(1), b"")

    def test_text_of_each_length_form(self) -> None:
        for text in ("", "Grüße", "x" * 125, "x" * 126, "x" * LARGEST_MESSAGE):
            self.assertEqual(self.receives(sent(0x81, text.encode())), text)

    def test_fragments_with_a_ping_between_them(self) -> None:
        halves = "Grüße".encode()
        parts = sent(0x01, halves[:3]) + sent(0x89, b"?") + sent(0x00) + sent(0x80, halves[3:])
        self.assertEqual(self.receives(parts), "Grüße")
        self.assertEqual(self.read(), (0xA, b"?"))

    def test_a_message_in_single_bytes(self) -> None:
        whole = sent(0x81, b"slowly")

        def send() -> None:
            for one in whole:
                self.client.sendall(bytes([one]))

        sending = threading.Thread(target=send)
        sending.start()
        self.assertEqual(self.socket.receive(), "slowly")
        sending.join()

    def test_a_close_is_answered_with_its_code(self) -> None:
        self.closes(sent(0x88, struct.pack("!H", 1000) + b"bye"), 1000)

    def test_an_empty_close_is_answered(self) -> None:
        self.closes(sent(0x88), 1000)

    def test_an_unmasked_frame(self) -> None:
        self.closes(sent(0x81, b"x", mask=False), 1002)

    def test_a_reserved_bit(self) -> None:
        self.closes(sent(0xC1, b"x"), 1002)

    def test_an_unknown_opcode(self) -> None:
        self.closes(sent(0x83, b"x"), 1002)

    def test_a_fragmented_ping(self) -> None:
        self.closes(sent(0x09, b"x"), 1002)

    def test_a_long_ping(self) -> None:
        self.closes(sent(0x89, b"x" * 126), 1002)

    def test_a_continuation_of_nothing(self) -> None:
        self.closes(sent(0x80, b"x"), 1002)

    def test_a_message_within_a_message(self) -> None:
        self.closes(sent(0x01, b"x") + sent(0x81, b"y"), 1002)

    def test_a_length_written_too_long(self) -> None:
        self.closes(sent(0x81, b"x", length=bytes([0x80 | 126, 0, 1])), 1002)

    def test_a_close_with_a_code_that_may_not_be_sent(self) -> None:
        self.closes(sent(0x88, struct.pack("!H", 1005)), 1002)

    def test_a_close_with_half_a_code(self) -> None:
        self.closes(sent(0x88, b"x"), 1002)

    def test_text_that_is_not_utf_8(self) -> None:
        self.closes(sent(0x81, b"\xff\xfe"), 1007)

    def test_binary(self) -> None:
        self.closes(sent(0x82, b"x"), 1003)

    def test_a_message_that_is_too_long_is_refused_by_its_length_alone(self) -> None:
        self.closes(bytes([0x81, 0x80 | 127]) + struct.pack("!Q", 2**40), 1009)

    def test_fragments_that_are_too_long_together(self) -> None:
        self.closes(sent(0x01, b"x" * 9000) + sent(0x80, b"x" * 9000), 1009)

    def test_a_silent_client_is_pinged_and_one_that_is_gone_is_let_go(self) -> None:
        with self.assertRaises(Closed):
            self.socket.receive()
        self.assertEqual(self.read(), (9, b""))

    def test_a_client_that_does_not_read_is_cut_off_and_holds_nobody_up(self) -> None:
        for _ in range(2000):
            self.socket.send("x" * 16_000)
        with self.assertRaises(Closed):
            self.socket.receive()

    def test_the_server_may_begin_to_close(self) -> None:
        self.socket.close()
        self.assertEqual(self.read(), (8, struct.pack("!H", 1000)))
        self.client.sendall(sent(0x88, struct.pack("!H", 1000)))
        with self.assertRaises(Closed):
            self.socket.receive()

    def test_our_frames_have_the_three_forms_of_length(self) -> None:
        self.assertEqual(frame(Opcode.TEXT, b"x" * 125)[:2], bytes([0x81, 125]))
        self.assertEqual(frame(Opcode.TEXT, b"x" * 126)[:4], bytes([0x81, 126, 0, 126]))
        self.assertEqual(frame(Opcode.TEXT, b"x" * 2**16)[:2], bytes([0x81, 127]))


if __name__ == "__main__":
    unittest.main()

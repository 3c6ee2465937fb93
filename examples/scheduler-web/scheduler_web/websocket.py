"""The server's side of one WebSocket (RFC 6455), without extensions: handshake, frames, pings, and the way it closes."""

import base64
import binascii
import contextlib
import hashlib
import queue
import socket
import struct
import threading
from collections.abc import Mapping
from enum import IntEnum

_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
LARGEST_MESSAGE = 16 * 1024
LARGEST_CONTROL = 125
PING_AFTER_S = 25.0
CLOSE_GRACE_S = 2.0
WAITING_MESSAGES = 64


class Opcode(IntEnum):
    """What a frame is (section 5.2)."""

    CONTINUATION = 0x0
    TEXT = 0x1
    BINARY = 0x2
    CLOSE = 0x8
    PING = 0x9
    PONG = 0xA


class Close(IntEnum):
    """Why a connection closes (section 7.4.1); only those we send."""

    NORMAL = 1000
    GOING_AWAY = 1001
    PROTOCOL_ERROR = 1002
    UNSUPPORTED = 1003
    INVALID_TEXT = 1007
    TOO_BIG = 1009


class BadHandshake(Exception):
    """The request does not open a WebSocket; `status` is the answer to it."""

    def __init__(self, status: int, words: str) -> None:
        super().__init__(words)
        self.status = status


class Closed(Exception):
    """The connection is over."""


class _Violation(Exception):
    def __init__(self, code: Close, words: str) -> None:
        super().__init__(words)
        self.code = code


def accept(method: str, headers: Mapping[str, str]) -> bytes:
    """The answer that opens the connection (section 4.2.2). Raises BadHandshake.

    The page must be one of ours (section 10.2): a browser says in Origin whose page it is.
    """
    if method != "GET":
        raise BadHandshake(405, "A WebSocket begins with GET.")
    if headers.get("upgrade", "").lower() != "websocket" or "upgrade" not in _words(
        headers.get("connection", "")
    ):
        raise BadHandshake(426, "This address is for WebSockets.")
    if headers.get("sec-websocket-version") != "13":
        raise BadHandshake(426, "WebSocket version 13 is spoken here.")
    origin = headers.get("origin")
    hosts = {headers.get("host"), headers.get("x-forwarded-host")} - {None}
    if origin is not None and origin.partition("://")[2] not in hosts:
        raise BadHandshake(403, "This WebSocket is for the pages of this host.")
    key = headers.get("sec-websocket-key", "")
    try:
        if len(base64.b64decode(key, validate=True)) != 16:
            raise BadHandshake(400, "Sec-WebSocket-Key is not 16 bytes in base64.")
    except (ValueError, binascii.Error):
        raise BadHandshake(400, "Sec-WebSocket-Key is not 16 bytes in base64.") from None
    accepted = base64.b64encode(hashlib.sha1((key + _GUID).encode(), usedforsecurity=False).digest()).decode()
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {accepted}\r\n\r\n"
    ).encode()


class WebSocket:
    """One open connection. One thread calls `receive`; any may call `send` and `close`, which never wait for the client.

    What is sent waits in a short queue: a client that does not read is cut off when it is full, and holds up nobody else.
    """

    def __init__(self, connection: socket.socket, ping_after_s: float = PING_AFTER_S) -> None:
        self._connection = connection
        self._ping_after_s = ping_after_s
        self._outgoing: queue.Queue[bytes | None] = queue.Queue(WAITING_MESSAGES)
        self._close_sent = threading.Event()
        self._buffer = bytearray()
        connection.settimeout(ping_after_s)
        self._writer = threading.Thread(target=self._write, daemon=True)
        self._writer.start()

    def send(self, text: str) -> None:
        """Send a text message, if the connection is still open."""
        if not self._close_sent.is_set():
            self._put(frame(Opcode.TEXT, text.encode()))

    def close(self, code: Close = Close.NORMAL, reason: str = "") -> None:
        """Begin to close (section 7.1.2); `receive` ends when the client has answered, or has not for two seconds."""
        if not self._close_sent.is_set():
            self._close_sent.set()
            self._put(frame(Opcode.CLOSE, struct.pack("!H", code) + reason.encode()[: LARGEST_CONTROL - 2]))
            # Whoever waits in receive goes on to wait for two seconds only.
            with contextlib.suppress(OSError):
                self._connection.settimeout(CLOSE_GRACE_S)

    def receive(self) -> str:
        """The next text message, pings and fragments (section 5.4) dealt with.

        Raises Closed: the connection is over, whoever ended it and however; the socket is closed then.
        """
        try:
            return self._next_message()
        except _Violation as violation:
            self.close(violation.code, str(violation))
        except (OSError, EOFError, Closed):
            pass
        self._finish()
        raise Closed

    def _next_message(self) -> str:
        message: bytearray | None = None
        while True:
            final, opcode, content = self._frame()
            if opcode is Opcode.CLOSE:
                self._answer_close(content)
                raise Closed
            if opcode is Opcode.PING:
                self._put(frame(Opcode.PONG, content))
                continue
            if opcode is Opcode.PONG:
                continue
            if opcode is Opcode.BINARY:
                raise _Violation(Close.UNSUPPORTED, "only text is spoken here")
            if (opcode is Opcode.CONTINUATION) is (message is None):
                raise _Violation(Close.PROTOCOL_ERROR, "a fragment stands where none can")
            message = bytearray() if message is None else message
            message += content
            if len(message) > LARGEST_MESSAGE:
                raise _Violation(Close.TOO_BIG, "the message is too long")
            if final:
                return _text(bytes(message))

    def _frame(self) -> tuple[bool, Opcode, bytes]:
        """The next frame, unmasked (sections 5.2, 5.3)."""
        first, second = self._read(2)
        if first & 0x70:
            raise _Violation(Close.PROTOCOL_ERROR, "no extension was agreed on")
        try:
            opcode = Opcode(first & 0x0F)
        except ValueError:
            raise _Violation(Close.PROTOCOL_ERROR, "there is no such kind of frame") from None
        final, length = bool(first & 0x80), second & 0x7F
        if not second & 0x80:
            raise _Violation(Close.PROTOCOL_ERROR, "a client's frames are masked")
        if opcode >= Opcode.CLOSE and (length > LARGEST_CONTROL or not final):
            raise _Violation(Close.PROTOCOL_ERROR, "a control frame is short and whole")
        if length >= 126:
            shortest, form, size = (126, "!H", 2) if length == 126 else (2**16, "!Q", 8)
            (length,) = struct.unpack(form, self._read(size))
            if length < shortest or length >= 2**63:
                raise _Violation(Close.PROTOCOL_ERROR, "a length is written as short as it can be")
        if length > LARGEST_MESSAGE:
            raise _Violation(Close.TOO_BIG, "the message is too long")
        mask = self._read(4)
        return final, opcode, masked(self._read(length), mask)

    def _read(self, count: int) -> bytes:
        """Exactly so many bytes. A silent client is pinged; one that does not even answer that is gone."""
        pinged = False
        while len(self._buffer) < count:
            try:
                received = self._connection.recv(65536)
            except TimeoutError:
                if pinged or self._close_sent.is_set():
                    raise
                pinged = True
                self._put(frame(Opcode.PING, b""))
                continue
            if not received:
                raise EOFError
            self._buffer += received
        taken = bytes(self._buffer[:count])
        del self._buffer[:count]
        return taken

    def _answer_close(self, content: bytes) -> None:
        """Say back what the client said, if that is a code that may be sent (section 7.4)."""
        if not content:
            self.close()
            return
        code = struct.unpack("!H", content[:2])[0] if len(content) > 1 else 0
        if not (1000 <= code <= 1003 or 1007 <= code <= 1014 or 3000 <= code <= 4999):
            raise _Violation(Close.PROTOCOL_ERROR, "this is no code to close with")
        _text(content[2:])
        if not self._close_sent.is_set():
            self._close_sent.set()
            self._put(frame(Opcode.CLOSE, content[:2]))

    def _put(self, outgoing: bytes | None) -> None:
        try:
            self._outgoing.put_nowait(outgoing)
        except queue.Full:
            self._abort()

    def _write(self) -> None:
        while (outgoing := self._outgoing.get()) is not None:
            try:
                self._connection.sendall(outgoing)
            except OSError:
                self._abort()
                return

    def _abort(self) -> None:
        self._close_sent.set()
        with contextlib.suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)

    def _finish(self) -> None:
        """Let what is waiting go out, then close (section 7.1.1: the server closes the TCP connection first)."""
        self._close_sent.set()
        with contextlib.suppress(queue.Full):
            self._outgoing.put_nowait(None)
        self._writer.join(CLOSE_GRACE_S)
        self._abort()
        self._connection.close()


def frame(opcode: Opcode, content: bytes) -> bytes:
    """A whole, unmasked frame: a server's."""
    length = len(content)
    if length < 126:
        head = struct.pack("!BB", 0x80 | opcode, length)
    elif length < 2**16:
        head = struct.pack("!BBH", 0x80 | opcode, 126, length)
    else:
        head = struct.pack("!BBQ", 0x80 | opcode, 127, length)
    return head + content


def masked(content: bytes, mask: bytes) -> bytes:
    """The content under a mask of four bytes, or from under it: the same (section 5.3)."""
    length = len(content)
    key = int.from_bytes((mask * (length // 4 + 1))[:length], "big")
    return (int.from_bytes(content, "big") ^ key).to_bytes(length, "big")


def _text(content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError:
        raise _Violation(Close.INVALID_TEXT, "text is UTF-8") from None


def _words(header: str) -> set[str]:
    return {word.strip().lower() for word in header.split(",")}

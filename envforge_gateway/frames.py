"""What of WebSockets is read (RFC 6455): the handshake's proof, and headers of frames, which are counted. Payloads pass unread."""

import base64
import hashlib

_CONTROL = 0x08
_MASKED = 0x80
_SHORT, _LONG = 126, 127
_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class Frames:
    """One direction of a WebSocket. `data` and `control` count frames; `between` says that the last one is complete."""

    __slots__ = ("_held", "_skip", "control", "data")

    def __init__(self) -> None:
        self._held = b""
        self._skip = 0
        self.data = 0
        self.control = 0

    @property
    def between(self) -> bool:
        return not self._skip and not self._held

    @property
    def left(self) -> int | None:
        """Bytes until the frame under way is complete; None where its header is not, so that nobody knows."""
        return None if self._held else self._skip

    def feed(self, data: bytes) -> None:
        size = len(data)
        if self._skip > size:
            self._skip -= size
            return
        at = self._skip
        self._skip = 0
        if self._held:
            data, self._held = self._held + data, b""
            size = len(data)
        while at < size:
            if size - at < 2:
                break
            first, second = data[at], data[at + 1]
            length = second & 0x7F
            header = 6 if second & _MASKED else 2
            if length >= _SHORT:
                wide = 2 if length == _SHORT else 8
                if size - at < 2 + wide:
                    break
                length = int.from_bytes(data[at + 2 : at + 2 + wide], "big")
                header += wide
            if first & _CONTROL:
                self.control += 1
            else:
                self.data += 1
            at += header + length
        if at <= size:
            self._held = data[at:]
        else:
            self._skip = at - size


def accept(key: bytes) -> bytes:
    """What a server that speaks the protocol answers to a client's key (RFC 6455, 4.2.2)."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


def close_frame(code: int) -> bytes:
    """An unmasked close frame, as a server sends it."""
    return b"\x88\x02" + code.to_bytes(2, "big")

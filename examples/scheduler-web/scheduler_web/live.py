"""Who is looking, and what they are told: presence, what somebody is about to book, and that bookings changed."""

import json
import threading
from itertools import count
from typing import Any

from scheduler_web.websocket import Close, Closed, WebSocket

LONGEST_TEXT = 40


class Hub:
    """The open sockets. Everything it sends is a JSON object with a `type`."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sockets: dict[int, WebSocket] = {}
        self._numbers = count(1)
        self._ended = False
        self.somebody = threading.Event()
        """Set while there is anybody to tell."""

    def serve(self, connection: WebSocket) -> None:
        """Keep a connection until it ends; called by its own thread."""
        number = next(self._numbers)
        with self._lock:
            self._sockets[number] = connection
            self.somebody.set()
            ended = self._ended
        if ended:
            connection.close(Close.GOING_AWAY)
        self._tell_presence()
        try:
            while True:
                self._pass_on(number, connection.receive())
        except Closed:
            pass
        finally:
            with self._lock:
                del self._sockets[number]
                if not self._sockets:
                    self.somebody.clear()
            self.broadcast({"type": "about_to_book", "by": number, "slot": None})
            self._tell_presence()

    def broadcast(self, content: dict[str, Any], without: int = 0) -> None:
        """Tell everybody, or everybody but one."""
        text = json.dumps(content)
        with self._lock:
            others = [one for number, one in self._sockets.items() if number != without]
        for one in others:
            one.send(text)

    def end(self) -> None:
        """Close every connection, and whatever still comes: the service is going away."""
        with self._lock:
            self._ended = True
            everybody = list(self._sockets.values())
        for one in everybody:
            one.close(Close.GOING_AWAY, "the service is going away")

    def _tell_presence(self) -> None:
        with self._lock:
            looking = len(self._sockets)
        self.broadcast({"type": "presence", "looking": looking})

    def _pass_on(self, number: int, text: str) -> None:
        """What a client may say: the slot its user is about to book, for others to see. Anything else is dropped."""
        try:
            said = json.loads(text)
        except (ValueError, RecursionError):
            return
        if not isinstance(said, dict) or said.get("type") != "about_to_book":
            return
        slot = said.get("slot")
        if slot is not None:
            if not isinstance(slot, dict):
                return
            slot = {key: slot.get(key) for key in ("day", "room", "start")}
            if not all(isinstance(value, str) and len(value) <= LONGEST_TEXT for value in slot.values()):
                return
        self.broadcast({"type": "about_to_book", "by": number, "slot": slot}, without=number)

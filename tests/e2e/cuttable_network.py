"""A TCP proxy between browser and server whose connections can be cut, or are slow."""

import selectors
import socket
import threading
import time
from contextlib import suppress

BLOCK = 1 << 16


class Cable:
    """Listens on its own port and forwards all bytes; `cut` breaks every connection.

    Args:
        port: Where the server listens, on the loopback.
        bytes_a_second: What all connections together bring from the server; None for no limit.
    """

    def __init__(self, port: int, bytes_a_second: float | None = None) -> None:
        self._port, self._whole, self._speed = port, True, bytes_a_second
        self._line = threading.Lock()
        self._pairs: set[tuple[socket.socket, socket.socket]] = set()
        self._lock = threading.Lock()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=128)
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        threading.Thread(target=self._listen, daemon=True).start()

    def cut(self) -> None:
        """Break all connections, and refuse new ones until `mend`."""
        with self._lock:
            self._whole = False
            pairs, self._pairs = self._pairs, set()
        for one in (end for pair in pairs for end in pair):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)

    def mend(self) -> None:
        """Accept connections again; those that were cut stay lost."""
        self._whole = True

    def close(self) -> None:
        """Cut it for good."""
        self.cut()
        self._listening.close()

    def _listen(self) -> None:
        with suppress(OSError):  # closed
            while True:
                near, _ = self._listening.accept()
                threading.Thread(target=self._connect, args=(near,), daemon=True).start()

    def _connect(self, near: socket.socket) -> None:
        with near, suppress(OSError):
            if not self._whole:
                return
            with socket.create_connection(("127.0.0.1", self._port)) as far:
                with self._lock:
                    if not self._whole:
                        return
                    self._pairs.add((near, far))
                self._hand_on(near, far)
                with self._lock:
                    self._pairs.discard((near, far))

    def _hand_on(self, near: socket.socket, far: socket.socket) -> None:
        with selectors.DefaultSelector() as ready:
            ready.register(near, selectors.EVENT_READ, far)
            ready.register(far, selectors.EVENT_READ, near)
            while True:
                for key, _ in ready.select():
                    data = key.fileobj.recv(BLOCK)  # type: ignore[union-attr]
                    if not data:
                        return
                    if self._speed and key.fileobj is far:
                        with self._line:
                            time.sleep(len(data) / self._speed)
                    key.data.sendall(data)

"""One visitor's tab, as far as the server sees it: connections, values of controls, events.

Sends what the page sends (the same requests to the same addresses, with all values of an
event), over its own connections. Draws nothing.
"""

import asyncio
import json
import re
import secrets
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
from gradio_client.utils import apply_diff

CONFIG = re.compile(r"window\.gradio_config\s*=\s*(\{.*?\});\s*</script>", re.DOTALL)
PATIENCE = httpx.Timeout(300.0, connect=60.0)
PROMISED = {"content-type": "application/json"}


class Again(httpx.AsyncHTTPTransport):
    """Asks again where the server has closed an idle connection, as browsers do."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """A response, by a second connection if the first was closed."""
        try:
            return await super().handle_async_request(request)
        except (httpx.RemoteProtocolError, httpx.ReadError):
            return await super().handle_async_request(request)


class Refused(RuntimeError):
    """The server refused a request, and said why in one line."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The page's configuration, equal for all visitors."""

    events: dict[str, dict[str, Any]]
    """Handler -> its entry of the page's configuration."""
    values: dict[int, Any]
    """Component -> its initial value."""
    ids: dict[str, int]
    """elem_id -> component."""

    @staticmethod
    def read(page: str) -> "Layout":
        """The configuration inside a page.

        Raises:
            ValueError: it has none.
        """
        match = CONFIG.search(page)
        if match is None:
            raise ValueError("The page has no configuration: not a page of Gradio.")
        config = json.loads(match[1])
        components = {entry["id"]: entry["props"] for entry in config["components"]}
        return Layout(
            {entry["api_name"]: entry for entry in config["dependencies"] if entry["backend_fn"]},
            {key: props.get("value") for key, props in components.items()},
            {p["elem_id"]: key for key, p in components.items() if p.get("elem_id")},
        )


@dataclass(frozen=True, slots=True)
class QueueMessage:
    """One message about an event that waits, runs or has ended."""

    kind: str
    """estimation, process_starts, process_generating or process_completed."""
    at: float
    """On the monotonic clock, in seconds."""
    before: int | None = None
    """How many are before it, if it waits."""


@dataclass
class Tab:
    """A visitor's tab; `close` drops it without notice, as they do."""

    url: str
    layout: Layout | None = None
    session: str = field(default_factory=lambda: secrets.token_hex(6))
    values: dict[int, Any] = field(default_factory=dict)
    address: str = ""
    """Where it says it comes from, as a proxy would say; else all come from this machine."""
    web: httpx.AsyncClient = field(init=False)
    _alive: httpx.Response | None = None
    """The connection that tells the server that the tab is open."""
    _turn: asyncio.Lock = field(default_factory=asyncio.Lock)

    def __post_init__(self) -> None:
        # The server is on this machine, without TLS: reading certificates would take longest.
        headers = {"X-Forwarded-For": self.address} if self.address else {}
        self.web = httpx.AsyncClient(
            base_url=self.url, timeout=PATIENCE, headers=headers, transport=Again(verify=False)
        )

    async def open(self) -> None:
        """Load the page, its theme and its first plots; say that the tab is open."""
        page = await self.web.get("/")
        page.raise_for_status()
        self.layout = self.layout or Layout.read(page.text)
        self.values = dict(self.layout.values)
        alive = self.web.build_request("GET", f"/gradio_api/heartbeat/{self.session}")
        self._alive = await self.web.send(alive, stream=True)
        await self.call("on_open")

    async def close(self) -> None:
        """Drop every connection."""
        if self._alive is not None:
            await self._alive.aclose()
        await self.web.aclose()

    def put(self, name: str, value: Any) -> None:
        """Set a component's value by its elem_id, as a move of the visitor does."""
        self.values[self._opened_layout.ids[name]] = value

    def put_inputs(self, event: int, data: list[Any], but: str) -> str:
        """Set all inputs of an event but one component; the event's name."""
        layout = self._opened_layout
        name, entry = next((n, e) for n, e in layout.events.items() if e["id"] == event)
        values = dict(zip(entry["inputs"], data, strict=True))
        values.pop(layout.ids[but], None)
        self.values |= values
        return name

    def value(self, name: str) -> Any:
        """What a component holds; JSON if our scripts draw it."""
        held = self.values[self._opened_layout.ids[name]]
        return json.loads(held) if isinstance(held, str) and held[:1] in "{[" else held

    def body(self, name: str) -> bytes:
        """The request body for an event, with the values it needs."""
        event = self._opened_layout.events[name]
        body = {
            "data": [self.values.get(key) for key in event["inputs"]],
            "event_data": None,
            "fn_index": event["id"],
            "trigger_id": event["targets"][0][0] if event["targets"] else None,
            "session_hash": self.session,
        }
        return json.dumps(body).encode()

    async def call(self, name: str) -> float:
        """One event that skips the queue, as those of sliders do.

        Returns:
            Milliseconds from asking to the whole answer.

        Raises:
            Refused: the server answered with an error.
        """
        body, begun = self.body(name), time.perf_counter()
        answer = await self.web.post("/gradio_api/run/predict", content=body, headers=PROMISED)
        milliseconds = 1000 * (time.perf_counter() - begun)
        if answer.status_code != httpx.codes.OK:
            raise Refused(f"{name}: {answer.status_code} {answer.text:.200}")
        self._take(self._opened_layout.events[name], json.loads(answer.content)["data"])
        return milliseconds

    async def run(self, name: str) -> AsyncIterator[QueueMessage]:
        """One queued event; its outputs go into `values` as they come.

        Raises:
            Refused: the queue is full, or the event failed.
        """
        async with self._turn:  # Gradio sends each message of a session once, to any listener
            async for update in self._run(name):
                yield update

    async def _run(self, name: str) -> AsyncIterator[QueueMessage]:
        event, data = self._opened_layout.events[name], list[Any]()
        body = self.body(name)
        join = await self.web.post("/gradio_api/queue/join", content=body, headers=PROMISED)
        if join.status_code != httpx.codes.OK:
            raise Refused(f"{name}: {join.status_code} {join.text:.200}")
        number = join.json()["event_id"]
        query = {"session_hash": self.session}
        async with self.web.stream("GET", "/gradio_api/queue/data", params=query) as stream:
            async for line in stream.aiter_lines():
                if not line.startswith("data: "):
                    continue
                message = json.loads(line[6:])
                if message.get("event_id") != number:
                    continue
                update = QueueMessage(message["msg"], time.monotonic(), message.get("rank"))
                data = self._grown(event, data, message)
                yield update
                if update.kind == "process_completed":
                    if not message["success"]:
                        raise Refused(f"{name}: {message['output'].get('error')}")
                    return

    async def flood(self, name: str, times: int) -> tuple[list[float], int]:
        """One event many times at once, as no page does.

        Returns:
            When each accepted one ended, by the monotonic clock; and how many were refused.
        """
        ends, let_in, body = list[float](), 0, self.body(name)
        for _ in range(times):
            join = await self.web.post("/gradio_api/queue/join", content=body, headers=PROMISED)
            let_in += join.status_code == httpx.codes.OK
        query = {"session_hash": self.session}
        async with self.web.stream("GET", "/gradio_api/queue/data", params=query) as stream:
            async for line in stream.aiter_lines():
                if '"process_completed"' in line:
                    ends.append(time.monotonic())
        return ends, times - let_in

    async def fetch(self, address: str) -> bytes:
        """A file that was made for this visitor."""
        answer = await self.web.get("/" + address)
        answer.raise_for_status()
        return answer.content

    async def skim(self, address: str) -> None:
        """Fetch a file without keeping it."""
        async with self.web.stream("GET", f"/{address}") as answer:
            answer.raise_for_status()
            async for _ in answer.aiter_raw():
                pass

    @property
    def _opened_layout(self) -> Layout:
        if self.layout is None:
            raise RuntimeError("The page was not opened.")
        return self.layout

    def _grown(self, event: dict[str, Any], data: list[Any], message: dict[str, Any]) -> list[Any]:
        """The outputs after a message: the first is whole, later ones are differences."""
        outputs = (message.get("output") or {}).get("data")
        if message["msg"] not in ("process_generating", "process_completed") or outputs is None:
            return data
        if message["msg"] == "process_generating" and data:
            outputs = [apply_diff(old, change) for old, change in zip(data, outputs, strict=True)]
        self._take(event, outputs)
        return list(outputs)

    def _take(self, event: dict[str, Any], data: list[Any]) -> None:
        for key, value in zip(event["outputs"], data, strict=True):
            if not isinstance(value, dict):
                self.values[key] = value
            elif "value" in value:  # an update of a component
                self.values[key] = value["value"]

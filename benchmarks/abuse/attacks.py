"""The attacks: what each connection of the hostile client does, again and again.

`python -m benchmarks.abuse.attacks NAME URL SECONDS` runs an attack as a process; it writes a
line when it begins, and at the end one with the number of answers of each status.
"""

import asyncio
import json
import sys
from contextlib import suppress
from dataclasses import replace

import httpx

from benchmarks.abuse.answers import QUESTIONS
from benchmarks.abuse.client import ADDRESS, CHOICES, CONNECTIONS, PAUSE, PROXIED, Client, made_up
from benchmarks.abuse.collisions import colliding
from benchmarks.load.tab import Tab
from components.session.presets import first_session
from dppa_core.recipes.yaml_text import dump_recipe

HEAVY = (
    *("on_search", "on_advise", "on_merge", "on_count", "on_closeup", "on_losses"),
    *("on_compare", "on_spectrum", "on_attribute"),
)


async def cancel_scores(client: Client, _: int) -> None:
    """joins scores of 400 questions and cancels them"""
    await client.join_and_cancel("on_score")


async def drop_scores(client: Client, place: int) -> None:
    """joins scores, and drops the stream of answers or never opens one"""
    if place % 2:
        await client.join("on_score", made_up())
        await asyncio.sleep(PAUSE)
    else:
        await client.join("on_score", client.session)
        await client.drop(f"queue/data?session_hash={client.session}")


async def make_up_sessions(client: Client, place: int) -> None:
    """asks for chats, scores and files, under a new session each time"""
    events = ("on_ask", "on_ask", "on_score", "on_score", "on_make")
    await client.join(events[place % len(events)], made_up())


async def call_endpoint(client: Client, place: int) -> None:
    """calls the endpoint `chat` for 256 tokens, with forged addresses and as an agent"""
    forged = ".".join(str(client.rng.randrange(1, 255)) for _ in range(4))
    headers = {PROXIED: f"{forged}, {ADDRESS}"} if place & 1 else {}
    headers |= {"x-gradio-user": "mcp"} if place & 2 else {}
    recipe, seed = dump_recipe(first_session().recipe()), client.rng.randrange(2**31)
    data = [recipe, CHOICES["prompt"], "merged", 256, 1.0, seed]
    await client.post("call/chat", json.dumps({"data": data}).encode(), **headers)


async def flood_sliders(client: Client, _: int) -> None:
    """asks for exact plans, under a new session each time"""
    await client.post("run/predict", client.body("on_settle", made_up()))


async def send_slowly(client: Client, place: int) -> None:
    """sends half a head or half a body, then a byte a second"""
    url = client.web.base_url
    half = f"POST {url.path}run/predict HTTP/1.1\r\nHost: {url.host}\r\n"
    if place % 2:
        half += f"{PROXIED}: {ADDRESS}\r\n"
        half += "Content-Type: application/json\r\nContent-Length: 9999\r\n\r\n["
    reader, writer = await asyncio.open_connection(url.host, url.port)
    client.answers["opened"] += 1
    try:
        writer.write(half.encode())
        while not reader.at_eof():
            await writer.drain()
            await asyncio.sleep(1)
            writer.write(b"1")
    finally:
        writer.close()


async def cancel_searches(client: Client, place: int) -> None:
    """joins searches and other long work and cancels it, and has a lesson optimise coefficients"""
    if place:
        await client.join_and_cancel("on_search" if place % 2 else client.rng.choice(HEAVY))
    else:
        await client.post("run/predict", client.body("on_learn", client.session))
        await asyncio.sleep(PAUSE)


async def cancel_exports(client: Client, _: int) -> None:
    """joins exports and cancels them at random moments"""
    await client.join_and_cancel("on_make", client.rng.random())


async def reconnect(client: Client, place: int) -> None:
    """opens and drops both streams of a session 50 times a second, while it has work"""
    if place:
        path = f"queue/data?session_hash={client.session}"
        await client.drop(path if place % 2 else f"heartbeat/{client.session}", 0.15)
        await asyncio.sleep(0.15)
    else:
        await client.join("on_score", client.session)
        await asyncio.sleep(1)


async def compile_patterns(client: Client, place: int) -> None:
    """joins own questions, and searches by them, with patterns that take memory when compiled"""
    pattern = f"(?:[ab]{{1000}}){{{client.rng.randrange(2500, 3500)}}}"
    item = {"question": "1 + 1?", "answer": "2", "scorer": "regex", "pattern": pattern}
    client.choose("questions-text", json.dumps(item))
    client.choose("search-own", True)
    await client.join_and_cancel("on_questions" if place % 2 else "on_search")


async def collide_recipes(client: Client, place: int) -> None:
    """asks a merge whose 12 digits are those of another visitor's merge, and many more merges"""
    recipe = colliding()[1]
    if place:
        recipe = replace(recipe, seed=client.rng.randrange(2**31))
    data = [dump_recipe(recipe), QUESTIONS[place % len(QUESTIONS)], "merged", 8, 0.0, 0]
    await client.post("call/chat", json.dumps({"data": data}).encode())
    await asyncio.sleep(PAUSE)


ATTACKS = {
    attack.__name__: attack
    for attack in (
        *(cancel_scores, drop_scores, make_up_sessions, call_endpoint, flood_sliders),
        *(send_slowly, cancel_searches, cancel_exports, reconnect),
        *(compile_patterns, collide_recipes),
    )
}
"""Name -> what a connection does over and over, by its number; the docstring is for the report."""


async def attack(name: str, url: str, seconds: float) -> dict[str, int]:
    """Attack with all connections for a time; return answers counted by status."""
    tab = Tab(url)
    tab.web.headers[PROXIED] = ADDRESS
    await tab.open()
    await tab.close()
    client = Client(tab)
    print("begins", flush=True)

    async def repeat(place: int) -> None:
        while True:
            try:
                await ATTACKS[name](client, place)
            except (httpx.HTTPError, OSError):
                client.answers["none"] += 1
                await asyncio.sleep(0.05)

    with suppress(TimeoutError):
        async with asyncio.timeout(seconds), client.web:
            await asyncio.gather(*map(repeat, range(CONNECTIONS)))
    return dict(client.answers)


if __name__ == "__main__":
    print(json.dumps(asyncio.run(attack(sys.argv[1], sys.argv[2], float(sys.argv[3])))))

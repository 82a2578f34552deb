"""A session in a link: round trips, and refusals of long, damaged or forged ones."""

import base64
import json
import zlib

import pytest

from components.session.link import LONGEST_LINK, session_from_link
from components.session.presets import first_session
from components.session.session import ModelChoice, Session
from dppa_core.errors import InvalidValue
from tests.helpers.links import link_of


def packed(text: str) -> str:
    packing = zlib.compressobj(9, zlib.DEFLATED, -15)
    data = packing.compress(text.encode()) + packing.flush()
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def test_a_link_leads_back_to_the_session() -> None:
    session = Session(
        models=(ModelChoice("zoo:math", curve=((0, 1.0), (5, 0.2))),),
        overrides=(("layers.3.mlp.down_proj", 0.5),),
    )
    assert session_from_link(link_of(session)) == session
    assert len(link_of(first_session())) < 400


def test_a_link_that_a_browser_wrote_is_read() -> None:
    """Made by Chromium: CompressionStream("deflate-raw") of the first screen at 60 %."""
    text = (
        "jY_RSsRADEX_5T4H2SqKzK-ISGwza9hpZpmmLmuZfzdd9H3fbuBwcu8Gns9F8xVpQ-bRa1uQ3gYa3glF7SQTkrdVCPVi"
        "AfVO-ORFkPBTa7pFwumj8FUa0tOe5zqtJYhnQkQpu3HDWCVnHVXMkYbw2b-5Sf7Tzexf6HQfnNXYRrmbL3xBj1lnbq6u"
        "1aLXYwDs0fXw8EJY9Ggamps2YeY4fZ32hYs3sWO0C_LwSviON_0X"
    )
    session = session_from_link(text)
    assert session.rate == 0.6 and session.models == first_session().models


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("a" * (LONGEST_LINK + 1), "characters"),
        ("abc", "cannot be read"),
        ("!!!!", "cannot be read"),
        ("ümlaut", "cannot be read"),
        (packed('{"v":1'), "cannot be read"),
        (packed("{}")[:-2], "cannot be read"),
        (packed("{}") + "AAAA", "cannot be read"),
        (packed(" " * 200_000), "cannot be read"),
        (packed("[" * 50_000), "cannot be read"),
        (packed('{"v":9}'), "version 9"),
        (packed('{"v":1}'), "list of models"),
        (packed("[]"), "mapping"),
    ],
)
def test_a_link_that_is_none_says_why(link: str, words: str) -> None:
    with pytest.raises(InvalidValue, match=words):
        session_from_link(link)


def test_a_bomb_is_not_unpacked_whole() -> None:
    bomb = packed("0" * 5_000_000)
    assert len(bomb) < LONGEST_LINK
    with pytest.raises(InvalidValue, match="cannot be read"):
        session_from_link(bomb)


def test_the_text_in_a_link_is_plain_json() -> None:
    link = link_of(first_session())
    data = zlib.decompress(base64.urlsafe_b64decode(link + "=" * (-len(link) % 4)), -15)
    assert json.loads(data)["v"] == 1

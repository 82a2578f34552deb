"""The push: uploads the merge as a repository of the Hub, with the visitor's login.

A public page uses only the visitor's own login, never the machine's. No value of the page contains
a token.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import Any

import gradio as gr
from starlette.datastructures import Headers

from dppa_core.checkpoints.sources.refusals import LOG_IN
from dppa_core.errors import InvalidValue, NotAllowed, shown
from dppa_core.merging.to_folder import merge_to_folder
from dppa_core.merging.upload import push_folder
from dppa_core.progress import Progress, Stop
from dppa_core.recipes.yaml_text import MergeRecipe, recipe_hash, short_hash

from ...widgets.browser_parts import live, pack, static
from ...widgets.controls import PRIVATE, Controls, queued
from ...work.downloads.files import Exports
from ...work.error_notices import show_errors
from ...work.progress_stream import end_of
from ...work.studio import Emit, Studio
from ...work.visitor import Visitor, asker
from .export_values import look, needed_bytes

Foreign = Callable[[Headers], bool]
LONGEST_NAME = 200
NO_LOGIN_HERE = "This page has no login to the Hub. Make a checkpoint above and upload it with "
SIGN_IN = (
    "Nobody is signed in. Choose Sign in with Hugging Face, allow this page to write to "
    "repositories, and push again."
)
AGAIN = "Sign out and in again, and allow this page to write to repositories."


@dataclass(frozen=True, slots=True)
class PushView:
    """The components of the push."""

    name: gr.Textbox
    private: gr.Checkbox
    run: gr.Button
    stop: gr.Button
    told: gr.HTML
    place: gr.HTML


def offers_login() -> bool:
    """Whether visitors can sign in: only on a Space, which has the extra `oauth`; elsewhere Gradio
    shows the host's login."""
    given = all(os.environ.get(name) for name in ("SPACE_ID", "OAUTH_CLIENT_ID"))
    has_oauth = all(map(find_spec, ("authlib", "itsdangerous")))
    return given and os.environ.get("SYSTEM") == "spaces" and has_oauth


def build_push(studio: Studio) -> PushView:
    """The repository's name, the private option, the login if possible, the button."""
    with gr.Accordion("Push to the Hub", open=False, elem_id="push-box"):
        static(f'<p class="how">{_how(studio)}</p>', "push-hint")
        if offers_login():
            gr.LoginButton(size="sm", elem_id="login")
        name = gr.Textbox(
            label="Repository",
            placeholder="owner/name",
            info="A new repository; an existing one is not changed.",
            max_length=LONGEST_NAME,
            elem_id="push-name",
        )
        private = gr.Checkbox(value=True, label="Private", elem_id="push-private")
        with gr.Row(elem_classes="buttons"):
            run = gr.Button("Push", variant="primary", elem_id="push-run")
            stop = gr.Button("Stop", elem_id="push-stop")
        told = live("pushed", {"state": "idle"})
        return PushView(name, private, run, stop, told, static("", "push-place"))


def _how(studio: Studio) -> str:
    begin = (
        "Merges, checks every file, and only then creates the repository; if the push fails or is "
        "stopped, the repository is removed."
    )
    if offers_login():
        return f"{begin} Your login is used only for this, and is not stored."
    if studio.public:
        return f"{NO_LOGIN_HERE}<code>dppa push</code>, or open your own copy of this page."
    return f"{begin} It uses this computer's login: <code>hf auth login</code>, or HF_TOKEN."


@dataclass(frozen=True, slots=True)
class PushRequest:
    """A checked push."""

    recipe: MergeRecipe
    name: str
    private: bool
    visitor: Visitor
    token: str | None = field(repr=False)
    """The visitor's token; None for this computer's login."""


def wanted(
    recipe: MergeRecipe,
    name: object,
    private: object,
    visitor: Visitor,
    token: gr.OAuthToken | None,
    studio: Studio,
) -> PushRequest:
    """Check the values of a handler. Raises NotAllowed if a visitor of a public page is not signed
    in, InvalidValue without a name."""
    if token is None and studio.public:
        raise NotAllowed(SIGN_IN if offers_login() else f"{NO_LOGIN_HERE}`dppa push`.")
    text = name.strip() if isinstance(name, str) else ""
    if not text or len(text) > LONGEST_NAME:
        raise InvalidValue(f"Repository: a name such as owner/name, got {shown(name)}.")
    return PushRequest(recipe, text, private is not False, visitor, token.token if token else None)


def push_events(
    asked: PushRequest, exports: Exports, studio: Studio, emit: Emit, stop: Stop
) -> None:
    """Merge, check, upload; runs in its own thread. Emits ("now", what, share) and, at the end,
    ("pushed", name, url, notes)."""

    def teller(what: str, begin: float, end: float) -> Progress:
        def tell(done: int, total: int, _what: str) -> None:
            share = begin + (end - begin) * done / total if total > 1 else None
            emit(("now", what, share))

        return tell

    emit(("now", "Checking the models", None))
    known = look(asked.recipe, public=studio.public, stop=stop)
    nbytes = needed_bytes(known, "checkpoint") // 2
    with exports.room(asked.visitor, nbytes, keeps=False) as room:
        folder = room.folder / f"dppa-{short_hash(asked.recipe)}"
        merge_to_folder(
            asked.recipe,
            folder,
            sync=False,
            public=studio.public,
            progress=teller("Merging", 0.0, 0.3),
            stop=stop,
        )
        done = push_folder(
            folder,
            asked.name,
            private=asked.private,
            token=asked.token,
            progress=teller("Checking, then uploading", 0.3, 0.9),
            stop=stop,
        )
    emit(("pushed", done.name, done.url, done.notes))


def stream_push(asked: PushRequest, exports: Exports, studio: Studio) -> Iterator[dict[str, Any]]:
    """Yield the state of a push (working, done, stopped or failed), a few times a second."""
    about = {"recipe": recipe_hash(asked.recipe), "id": secrets.token_hex(4), "name": asked.name}
    now: dict[str, Any] = {"state": "working", **about}
    yield now | {"what": "Starting", "share": None}
    job = studio.start("push", lambda emit, stop: push_events(asked, exports, studio, emit, stop))
    found: dict[str, Any] = {}
    for batch in job.batches(every=0.2):
        for event in batch:
            if event[0] == "pushed":
                found = {"name": event[1], "url": event[2], "notes": list(event[3])}
        if batch and not found:
            yield now | {"what": batch[-1][1], "share": batch[-1][2]}
    end = end_of(job)
    if "note" in end and asked.token:  # visitors signed in on the page have no command line
        end["note"] = end["note"].replace(LOG_IN, AGAIN).replace(asked.token, "…")
    yield {**end, **about, **found}


def _check_asker(headers: Headers, is_foreign: Foreign) -> None:
    """Raise NotAllowed for a push sent by another web page, or by a program, with the user's login.
    Browsers send the login cookie with requests of any page, and Origin with every POST."""
    if "origin" not in headers:
        raise NotAllowed(
            "This push has no Origin header, which browsers send with every request of the page. "
            "A program or a proxy that removes the header is the usual cause: a program pushes "
            "with `dppa push`."
        )
    if is_foreign(headers):
        raise NotAllowed(
            f"A page at {shown(headers['origin'])} asked for this push. Push from this page "
            f"itself ({shown(headers.get('host', ''))}) or from a host listed in DPPA_HOSTS."
        )


def wire_push(
    view: PushView, controls: Controls, studio: Studio, exports: Exports, is_foreign: Foreign
) -> None:
    """Push and Stop; `is_foreign` says whether a request's headers come from another web page."""

    @show_errors
    def on_push(
        values: dict[Any, Any], request: gr.Request, token: gr.OAuthToken | None
    ) -> Iterator[dict[Any, Any]]:
        _check_asker(request.headers, is_foreign)
        recipe, who = controls.session(values).recipe(), asker(request)
        asked = wanted(recipe, values[view.name], values[view.private], who, token, studio)
        for value in stream_push(asked, exports, studio):
            yield {view.told: pack(value)}

    @show_errors
    def on_stop_pushing() -> dict[Any, Any]:
        return {view.told: pack({"state": "stopped"})}

    view.run.click(None, js="() => { window.dppa.pushBegins(); return []; }", **PRIVATE)
    pushing = view.run.click(
        on_push,
        inputs=controls.inputs | {view.name, view.private},
        outputs=[view.told],
        concurrency_id="export",
        concurrency_limit=1,
        trigger_mode="once",
        **queued(view.place),
    )
    rests = "() => { window.dppa.pushRests(); return []; }"
    pushing.failure(None, js=rests, **PRIVATE)
    view.stop.click(None, js=rests, **PRIVATE)
    view.stop.click(on_stop_pushing, None, [view.told], cancels=[pushing], queue=False, **PRIVATE)

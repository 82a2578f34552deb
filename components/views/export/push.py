"""The push: uploads the merge as a repository of the Hub, with the visitor's login.

A public page uses only the visitor's own login, never the machine's. No value of the page contains
a token.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
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
from ...work.kinds import EXPORTS, PUSH
from ...work.progress_stream import end_of
from ...work.studio import Emit, Studio
from ...work.visitor import Visitor, asker
from .export_values import needed_bytes, read_facts

IsForeign = Callable[[Headers], bool]
"""Returns True for the headers of a request that another web page sent."""
MAX_NAME_CHARACTERS = 200
NO_LOGIN_HERE = "This page has no login to the Hub. Make a checkpoint above and upload it with "
SIGN_IN = (
    "Nobody is signed in. Choose Sign in with Hugging Face, allow this page to write to "
    "repositories, and push again."
)
SIGN_IN_AGAIN = "Sign out and in again, and allow this page to write to repositories."


@dataclass(frozen=True, slots=True)
class PushView:
    """The components of the push."""

    name: gr.Textbox
    private: gr.Checkbox
    run: gr.Button
    stop: gr.Button
    pushed: gr.HTML
    place: gr.HTML


def offers_login() -> bool:
    """Return True if visitors can sign in: only on a Space, which has the extra `oauth`; elsewhere
    Gradio shows the host's login."""
    on_space = all(map(os.environ.get, ("SPACE_ID", "OAUTH_CLIENT_ID")))
    has_oauth = all(map(find_spec, ("authlib", "itsdangerous")))
    return on_space and os.environ.get("SYSTEM") == "spaces" and has_oauth


def build_push(studio: Studio) -> PushView:
    """Build the repository's name, the private option, the login if possible, the button."""
    with gr.Accordion("Push to the Hub", open=False, elem_id="push-box"):
        static(f'<p class="how">{_how(studio)}</p>', "push-hint")
        if offers_login():
            gr.LoginButton(size="sm", elem_id="login")
        name = gr.Textbox(
            label="Repository",
            placeholder="owner/name",
            info="A new repository; an existing one is not changed.",
            max_length=MAX_NAME_CHARACTERS,
            elem_id="push-name",
        )
        private = gr.Checkbox(value=True, label="Private", elem_id="push-private")
        with gr.Row(elem_classes="buttons"):
            run = gr.Button("Push", variant="primary", elem_id="push-run")
            stop = gr.Button("Stop", elem_id="push-stop")
        pushed = live("pushed", {"state": "idle"})
        return PushView(name, private, run, stop, pushed, static("", "push-place"))


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


def read_push(
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
    if not text or len(text) > MAX_NAME_CHARACTERS:
        raise InvalidValue(f"Repository: a name such as owner/name, got {shown(name)}.")
    return PushRequest(recipe, text, private is not False, visitor, token.token if token else None)


def push_events(
    push: PushRequest, exports: Exports, studio: Studio, emit: Emit, stop: Stop
) -> None:
    """Merge, check, upload; runs in its own thread. Emits ("now", step, share done) and, at the
    end, ("pushed", name, url, notes)."""

    def progress(step: str, begin: float, end: float) -> Progress:
        def report(count: int, total: int, _item: str) -> None:
            share = begin + (end - begin) * count / total if total > 1 else None
            emit(("now", step, share))

        return report

    emit(("now", "Checking the models", None))
    facts = read_facts(push.recipe, public=studio.public, stop=stop)
    nbytes = needed_bytes(facts, "checkpoint") // 2
    with exports.room(push.visitor, nbytes, keeps=False) as room:
        folder = room.folder / f"dppa-{short_hash(push.recipe)}"
        merge_to_folder(
            *(push.recipe, folder),
            sync=False,
            public=studio.public,
            progress=progress("Merging", 0.0, 0.3),
            stop=stop,
        )
        pushed = push_folder(
            *(folder, push.name),
            private=push.private,
            token=push.token,
            progress=progress("Checking, then uploading", 0.3, 0.9),
            stop=stop,
        )
    emit(("pushed", pushed.name, pushed.url, pushed.notes))


def stream_push(push: PushRequest, exports: Exports, studio: Studio) -> Iterator[dict[str, Any]]:
    """Yield the state of a push (working, done, stopped or failed), a few times a second."""
    about = {"recipe": recipe_hash(push.recipe), "id": secrets.token_hex(4), "name": push.name}
    now: dict[str, Any] = {"state": "working", **about}
    yield now | {"what": "Starting", "share": None}
    job = studio.start(PUSH, partial(push_events, push, exports, studio))
    repository: dict[str, Any] = {}
    for batch in job.batches(every=0.2):
        for event in batch:
            if event[0] == "pushed":
                repository = {"name": event[1], "url": event[2], "notes": list(event[3])}
        if batch and not repository:
            yield now | {"what": batch[-1][1], "share": batch[-1][2]}
    end = end_of(job)
    if "note" in end and push.token:  # visitors signed in on the page have no command line
        end["note"] = end["note"].replace(LOG_IN, SIGN_IN_AGAIN).replace(push.token, "…")
    yield {**end, **about, **repository}


def _check_asker(headers: Headers, is_foreign: IsForeign) -> None:
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
    view: PushView, controls: Controls, studio: Studio, exports: Exports, is_foreign: IsForeign
) -> None:
    """Wire the buttons Push and Stop."""

    @show_errors
    def on_push(
        values: dict[Any, Any], request: gr.Request, token: gr.OAuthToken | None
    ) -> Iterator[dict[Any, Any]]:
        _check_asker(request.headers, is_foreign)
        recipe, visitor = controls.session(values).recipe(), asker(request)
        push = read_push(recipe, values[view.name], values[view.private], visitor, token, studio)
        for value in stream_push(push, exports, studio):
            yield {view.pushed: pack(value)}

    @show_errors
    def on_stop_pushing() -> dict[Any, Any]:
        return {view.pushed: pack({"state": "stopped"})}

    view.run.click(None, js="() => { window.dppa.pushBegins(); return []; }", **PRIVATE)
    pushing = view.run.click(
        on_push,
        inputs=controls.inputs | {view.name, view.private},
        outputs=[view.pushed],
        **EXPORTS.turns,
        trigger_mode="once",
        **queued(view.place),
    )
    rests = "() => { window.dppa.pushRests(); return []; }"
    pushing.failure(None, js=rests, **PRIVATE)
    view.stop.click(None, js=rests, **PRIVATE)
    view.stop.click(on_stop_pushing, None, [view.pushed], cancels=[pushing], queue=False, **PRIVATE)

"""Holds exams on a vLLM server: the base stays there, models and merges are sent as adapters.

Prompts as token ids, end tokens and limits are those of an `Examiner`, and so are the marks. The
numbers are the server's: its dtype and kernels, and deltas that are not rounded to the recipe's
dtype.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

from dppa_core.checkpoints.checkpoint import Checkpoint
from dppa_core.checkpoints.sources.open import open_checkpoint
from dppa_core.errors import DppaError, InvalidValue, NonFiniteWeights, many
from dppa_core.evaluation.examiner import Examiner
from dppa_core.evaluation.scores import DomainScore, Exam, Marks, Target, marked_score, target_name
from dppa_core.evaluation.vllm.bases import known_base, same_model, serve_command, served_base
from dppa_core.evaluation.vllm.server import VllmServer
from dppa_core.merging.in_memory.source import source_of
from dppa_core.merging.lora.report import USUAL_RANK
from dppa_core.merging.lora.to_lora import NoChange, merge_to_lora
from dppa_core.merging.merger import open_merger
from dppa_core.models.answer_loss import Exchange
from dppa_core.models.decode import end_ids, room
from dppa_core.models.drafted_answers import MAX_REPLY_TOKENS, DraftedAnswer, drafted_answer
from dppa_core.models.loading import blueprint, load_tokenizer, read_generation_config
from dppa_core.models.resident import Resident
from dppa_core.recipes.yaml_text import DomainModel, MergeRecipe
from dppa_core.system.temporary import TemporaryFolder
from dppa_core.system.threads import side_by_side

REQUESTS = 32
"""Questions at a time; vLLM computes them together."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the server holds now."""

    key: str
    """`target_name` of the model or merge."""
    name: str
    """Its name on the server."""
    reader: Resident
    """Its tokenizer, and its model without weights."""
    folder: Path | None
    """Its adapter; None for the base."""


class VllmJudge:
    """Holds exams on a server, one at a time: vLLM has room for one adapter unless --max-loras says
    otherwise.

    Args:
        base: The reference of the base, and its name on the server.
        rank: Most directions of a matrix; see `merge_to_lora`.
        folder: Where adapters are written; the server must see it.
    """

    def __init__(
        self, server: VllmServer, base: tuple[str, str], rank: int | None, folder: Path
    ) -> None:
        self._server, self._base, self._rank, self._folder = server, base, rank, folder
        self._encoder = Examiner(keep=False)
        self._candidate: Candidate | None = None
        self._left_out: dict[str, float] = {}
        self._readers: dict[str, Resident] = {}

    def score(self, exam: Exam) -> DomainScore:
        """The score of one exam; raises as `marks`."""
        return marked_score(exam.items(), self.marks(exam))

    def marks(self, exam: Exam) -> Marks:
        """The marks of one exam, without divergences.

        Raises:
            InvalidValue: a change that no adapter holds, or see `VllmServer.load`.
            NonFiniteWeights: the merge, or the server's model, has NaN or infinity.
            Unreachable: the server does not answer, or not as vLLM.
        """
        candidate, items = self.send(exam.target), exam.items()
        longest = exam.tokens or MAX_REPLY_TOKENS
        exchanges = self._encoder.exchanges(candidate.reader, items)
        tasks = [partial(self._answer, candidate, exchange, longest) for exchange in exchanges]
        marks = Marks.of_replies(items, tuple(side_by_side(tasks, REQUESTS)))
        return marks if exam.behaviour else replace(marks, lengths=(), loops=())

    def send(self, target: Target) -> Candidate:
        """Send a model or merge, unless the server has it; raises as `marks`."""
        key = target_name(target)
        if self._candidate is None or self._candidate.key != key:
            self.close()
            self._candidate = self._sent(target, key)
        return self._candidate

    def close(self) -> None:
        """Unload the adapter, and remove its files; raises Unreachable."""
        candidate, self._candidate = self._candidate, None
        if candidate is not None and candidate.folder is not None:
            try:
                self._server.unload(candidate.name)
            finally:
                shutil.rmtree(candidate.folder, ignore_errors=True)

    def sentence(self) -> str:
        """How exactly the server has what was sent so far."""
        shares = sorted(self._left_out.values())
        sent = many(len(shares), "model or merge", "models and merges")
        if not any(shares):
            return f"vLLM judges {sent}: exactly, as adapters."
        ends = dict.fromkeys(f"{100 * share:.2g}" for share in (shares[0], shares[-1]))
        return (
            f"vLLM judges {sent}, not exactly: as adapters of rank {self._rank or USUAL_RANK} at "
            f"most, which leave out {' to '.join(ends)} % of the norm of the change."
        )

    def to_json(self, target: Target) -> dict[str, Any]:
        """Shares of the norms of changes that were left out, and of a recipe's or model's;
        JSON-ready."""
        shares = self._left_out.values()
        return {
            "server": self._server.address,
            "rank": self._rank,
            "left_out": [min(shares, default=0.0), max(shares, default=0.0)],
            "left_out_of_recipe": self._left_out.get(target_name(target)),
        }

    def check_base(self, target: Target) -> None:
        """Raise InvalidValue for a merge on another base than the server's."""
        base = self._base[0]
        if isinstance(target, MergeRecipe) and not same_model(target.base, base):
            raise InvalidValue(
                f"A recipe is on the base {target.base}, and the server's is {base}: a server "
                "judges merges on its own base. Evaluate them one by one, or leave --judge out."
            )

    def _sent(self, target: Target, key: str) -> Candidate:
        (base, served), recipe = self._base, target
        at_base = Candidate(key, served, self._reader(target), None)
        if target == base:
            return at_base
        if not isinstance(recipe, MergeRecipe):
            recipe = MergeRecipe(base, (DomainModel(recipe),), "task_arithmetic")
        name = f"dppa-{uuid4().hex}"
        folder = self._folder / name
        try:
            about = merge_to_lora(recipe, folder, rank=self._rank, sync=False)
        except NoChange:
            return at_base
        self._left_out[key] = 0.0 if about.joined else math.sqrt(max(1 - about.energy, 0.0))
        # Before it is loaded: `close` takes it away if that is broken off.
        self._candidate = replace(at_base, name=name, folder=folder)
        self._server.load(name, folder.resolve(), about.rank)
        return self._candidate

    def _reader(self, target: Target) -> Resident:
        """A model or merge without its weights."""
        if not isinstance(target, MergeRecipe):
            return _without_weights(open_checkpoint(target), target)
        merger = open_merger(target)
        key = merger.inputs.companions().key
        if key not in self._readers:
            with source_of(merger) as source:
                self._readers[key] = _without_weights(source, target.base)
        return self._readers[key]

    def _answer(self, candidate: Candidate, exchange: Exchange, longest: int) -> DraftedAnswer:
        """The reply, of at most `longest` tokens, and the loss of the right answer."""
        (prompt, right), reader = (exchange.prompt, exchange.reply), candidate.reader

        def loss_in(choice: Any) -> float:
            rows = zip(right, choice["prompt_logprobs"][len(prompt) :], strict=True)
            return -sum(float(row[str(token)]["logprob"]) for token, row in rows)

        reply = self._server.complete(
            candidate.name,
            prompt,
            lambda choice: [int(token) for token in choice["token_ids"]],
            max_tokens=min(longest, room(reader.model, len(prompt))),
            stop_token_ids=sorted(end_ids(reader.model, reader.tokenizer)),
            ignore_eos=True,  # the server's own; those just named count
            return_token_ids=True,
        )
        text = (*prompt, *right)
        loss = self._server.complete(candidate.name, text, loss_in, max_tokens=1, prompt_logprobs=0)
        if not math.isfinite(loss):
            raise NonFiniteWeights("The server computes NaN or infinity: too large factors?")
        return drafted_answer(reader, reply, loss, exchange)


@contextmanager
def vllm_judge(
    target: Target, address: str, rank: int | None = None, parent: Path | None = None
) -> Iterator[VllmJudge]:
    """A judge of models and merges on a target's base, which has the target first.

    At the end of the block, however it ends, no adapter of it is left on the server or on disk.

    Args:
        target: A merge, or a model; for its base see `served_base`.
        address: Of the server, as http://127.0.0.1:8000.
        rank: See `VllmJudge`.
        parent: A folder that the server sees; the system's for temporary files if None.

    Raises:
        InvalidValue: not an address, a server of another base, or see `VllmJudge.marks`.
        NotAllowed: a server that takes no adapters while it runs.
        Unreachable: no server answers.
    """
    server = VllmServer(address, serve_command(known_base(target)), rank or USUAL_RANK)
    base = served_base(server, target)
    with closing(TemporaryFolder("judge", parent)) as scratch:
        judge = VllmJudge(server, base, rank, scratch.path)
        hidden: tuple[type[DppaError], ...] = (DppaError,)
        try:
            judge.send(target)
            yield judge
            hidden = ()  # there is no earlier error to tell
        finally:
            with suppress(*hidden):
                judge.close()


def _without_weights(source: Checkpoint, label: str) -> Resident:
    model = blueprint(source, label)
    read_generation_config(source, model, label)
    return Resident(label, model, load_tokenizer(source, label), 0)

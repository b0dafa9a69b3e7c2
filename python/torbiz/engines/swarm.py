"""Asks a model whose blocks are served by the peers of a Petals swarm."""

from __future__ import annotations

import asyncio
import itertools
import logging
import math
import re
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

# isort: split
import torch
from hivemind.moe.client.remote_expert_worker import RemoteExpertWorker
from hivemind.p2p.p2p_daemon_bindings.utils import P2PDaemonError
from hivemind.utils.multiaddr import Multiaddr
from petals import AutoDistributedModelForCausalLM
from petals.constants import PUBLIC_INITIAL_PEERS
from transformers import AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from torbiz.bounded import run_bounded
from torbiz.download_job import DownloadError
from torbiz.engines.base import (
    AskError,
    Cancelled,
    Delta,
    Finished,
    FinishReason,
    Message,
    Progress,
    Question,
    Sampling,
    Stuck,
    Swarm,
)
from torbiz.engines.swarm_sessions import CLOSE_TIMEOUT, Chain, KeptChains
from torbiz.engines.text import Prompt, StopFilter, TokenDecoder
from torbiz.finishing import REFUSAL
from torbiz.hub_download import require_safetensors
from torbiz.processes import descendants, kill

logger = logging.getLogger("torbiz.engines.swarm")
disable_progress_bar()

Emit = Callable[[Progress | Delta], None]

REQUEST_TIMEOUT = 45.0
"""Seconds for one step of all blocks of one peer."""
MAX_ATTEMPTS = 3
"""For one step, by another way each time."""
RECOVERY_SECONDS = 50.0
"""No attempt begins later than that after the last success: with ROUTE_TIMEOUT and REQUEST_TIMEOUT it stays under the
time that a client waits for a token."""
LOOK_AGAIN_SECONDS = 1.0
"""Until a peer that has just gone is seen to have."""
CONNECT_TIMEOUT = 25
"""For p2pd to find a first peer; a busy computer took 15 and more. With a look at the route and the first step it stays
under the time that a client waits for a token, and two of them under LOADING_TIMEOUT."""
LOADING_TIMEOUT = 60.0
"""For an engine that was given up while it loaded."""
ROUTE_TIMEOUT = 10.0
ROUTE_FRESH_SECONDS = 30.0
"""How long peers that answered are asked again without looking first whether they are still there."""
LOOP_TIMEOUT = 5.0
RESERVED = 2048
"""Tokens that a conversation reserves at the peers; twice as many whenever it has outgrown them. It is the most that
Petals' servers give one session by default."""
ANSWER_ROOM = 256
"""Tokens left for an answer in a session that is opened."""
PROMPT_STEP = 128
"""Tokens of a prompt that a peer of unknown speed gets in one step: it can't be stopped within one. Petals' servers
compute up to 128 in one go."""
STEP_SECONDS = (0.5, 1.0)
"""Steps that take less become longer, those that take more become shorter."""

_loading = threading.Lock()
"""While transformers loads a model it changes torch for the whole process: two that load at once have wrong weights."""


class SwarmEngine:
    """A client of one swarm for one model. It has a peer of its own, in processes of its own: ``close`` ends them.

    :raises AskError: model-broken, model-unsupported, swarm-invalid, swarm-unreachable
    """

    def __init__(self, swarm: Swarm) -> None:
        self.swarm = swarm
        started = time.monotonic()
        for peer in swarm.initial_peers:
            check_address(peer)
        if not _loading.acquire(timeout=LOADING_TIMEOUT):
            raise Stuck
        try:
            self._load()
        except P2PDaemonError as error:
            logger.error("Connecting failed: %s", error)
            raise unreachable() from error
        except RuntimeError as error:
            if "bootstrap" in str(error):
                raise unreachable() from error
            raise AskError("model-broken", "The model's files can't be read.") from error
        except DownloadError as error:
            raise AskError(error.code, str(error)) from error
        except (OSError, ValueError, KeyError, AssertionError) as error:
            logger.error("Loading failed: %s", type(error).__name__)
            raise AskError("model-broken", "The model's files can't be read.") from error
        finally:
            _loading.release()
        self._blocks: Any = self._model.transformer.h.sequence_manager
        self._kept = KeptChains()
        self._closed = False
        self._heard = -math.inf
        self._held: int | None = None
        """The most tokens that peers give one session, once they refused more."""
        config = self._model.config
        self.context = int(config.max_position_embeddings)
        self._end_tokens = as_set(config.eos_token_id) | as_set(self._model.generation_config.eos_token_id)
        self._end_tokens |= as_set(self._tokenizer.eos_token_id)
        logger.info("Loaded the client of %s in %.1f s", swarm.dht_prefix, time.monotonic() - started)

    def _load(self) -> None:
        folder = Path(self.swarm.model_path)
        require_safetensors("The model", folder)
        self._tokenizer: Any = AutoTokenizer.from_pretrained(self.swarm.model_path, local_files_only=True)
        if self._tokenizer.chat_template is None:
            # Where newer models have it. What this transformers would take instead is another model's.
            try:
                template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
            except FileNotFoundError:
                raise AskError(
                    "model-unsupported", "This model was not made for chats: it has no chat template."
                ) from None
            self._tokenizer.chat_template = template
        self._model: Any = AutoDistributedModelForCausalLM.from_pretrained(
            self.swarm.model_path,
            local_files_only=True,
            initial_peers=list(self.swarm.initial_peers or PUBLIC_INITIAL_PEERS),
            dht_prefix=self.swarm.dht_prefix,
            torch_dtype=torch.float32,
            show_route=False,
            max_retries=1,  # Petals' own way to replace a peer breaks off in the middle of an answer
            request_timeout=REQUEST_TIMEOUT,
            daemon_startup_timeout=CONNECT_TIMEOUT,
        )

    def check_route(self) -> None:
        """Looks up who serves which blocks now.

        :raises AskError: missing-blocks, swarm-unreachable
        """
        try:
            run_bounded(self._blocks._update, ROUTE_TIMEOUT)
            missing = [
                i for i, spans in enumerate(self._blocks.state.sequence_info.spans_containing_block) if not spans
            ]
            if not missing:
                return
            # Peers that were heard and have told that they leave are gone, whether or not their connection is yet.
            if len(missing) == len(self._blocks) and self._heard == -math.inf and not self._connected_peers():
                raise unreachable()
        except TimeoutError:
            raise unreachable() from None
        raise missing_blocks(missing, len(self._blocks))

    def silent_blocks(self) -> list[int]:
        """The blocks of which no peer answered when the route was last checked.

        A peer that has gone stays in this client's memory of the DHT for minutes. One that is slow or relayed can
        miss the time for an answer (2 s) too, so this is a reason to connect anew, and not yet a failure.
        """
        times = self._blocks.ping_aggregator.to_dict()
        route = self._blocks.state.sequence_info.spans_containing_block
        return [
            block
            for block, spans in enumerate(route)
            if all(times.get(span.peer_id, 0.0) == math.inf for span in spans)
        ]

    def is_in_touch(self, conversation: str | None) -> bool:
        """Whether its peers can be asked without a look at the route first. A wrong guess costs one failed step."""
        return conversation in self._kept or time.monotonic() - self._heard < ROUTE_FRESH_SECONDS

    def _connected_peers(self) -> Sequence[object]:
        async def list_peers() -> Sequence[object]:
            peers: Sequence[object] = await self._blocks.state.p2p.list_peers()
            return peers

        return run_bounded(lambda: RemoteExpertWorker.run_coroutine(list_peers()), CLOSE_TIMEOUT)

    def answer(self, question: Question, emit: Emit, cancelled: Callable[[], bool]) -> Finished:
        """Answers a chat. Each token is computed once, in a conversation also from one question to the next.

        :raises AskError: prompt-too-long, missing-blocks, swarm-unreachable, ask-timeout, ask-failed
        :raises Cancelled: within one step
        """
        conversation = question.conversation
        chain = self._chain(conversation, self._encode(question.messages))
        try:
            return self._generate(chain, question.sampling, emit, cancelled, lasting=conversation is not None)
        finally:
            if conversation is None or chain.session is None or self._closed:
                chain.close()
            else:
                self._kept.keep(conversation, chain)

    def _chain(self, conversation: str | None, prompt: Prompt) -> Chain:
        """The conversation's kept chain, where the prompt goes on from there; else a new one."""
        chain = None if conversation is None else self._kept.take(conversation)
        if chain is None:
            return Chain(prompt.tokens, prompt.text)
        text = chain.prompt_text + self._decode(chain.answer, skip_special_tokens=False)
        rest = prompt.after(chain.tokens, text)
        if rest is None or chain.fed >= len(chain.tokens) + len(rest) or chain.old:
            chain.close()
            return Chain(prompt.tokens, prompt.text)
        chain.go_on(rest, prompt.text)
        return chain

    def _generate(
        self, chain: Chain, sampling: Sampling, emit: Emit, cancelled: Callable[[], bool], *, lasting: bool
    ) -> Finished:
        prompt, cached = chain.prompt_length, chain.fed
        room = self._room - prompt
        if room < 1:
            raise AskError(
                "prompt-too-long",
                f"The question takes {prompt} tokens; the model has room for {self._room}, its answer included.",
            )
        limit = min(sampling.max_tokens or room, room)
        most = self.context if lasting else prompt + limit
        choose = TokenChooser(sampling)
        decoder = TokenDecoder(self._decode)
        stops = StopFilter(sampling.stop)
        reason: FinishReason = "length"
        made = untold = 0
        while reason == "length" and made < limit:
            try:
                token = choose(self._advance(chain, most, emit, cancelled))
            except AskError as error:
                if made and error.code == "prompt-too-long":
                    break  # The peers hold less than the model could: the answer ends as it does at the model's limit.
                raise
            made += 1
            untold += 1
            if token in self._end_tokens:
                text = stops.add(decoder.flush())
                reason = "stop"
            else:
                chain.tokens.append(token)
                text = stops.add(decoder.add(token))
                if stops.stopped:
                    reason = "stop"
            if text:
                emit(Delta(text, untold))
                untold = 0
        # A character that is incomplete at the limit is left out: who continues the answer gets it whole.
        rest = "" if stops.stopped else stops.flush()
        return Finished(rest, reason, prompt, made, cached, chain.route)

    @property
    def _room(self) -> int:
        return min(self.context, self._held or self.context)

    def _encode(self, messages: Sequence[Message]) -> Prompt:
        """The prompt for an answer. An assistant's message as the last one is the beginning of the answer."""
        begun = messages[-1]["content"] if messages[-1]["role"] == "assistant" else ""
        chat = list(messages) if begun or messages[-1]["role"] != "assistant" else list(messages[:-1])
        try:
            text: str = self._tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=not begun)
            if begun:
                # Templates end a message, and may cut off the spaces around it: the answer goes on right after it.
                words = begun.strip()
                text = text[: text.rindex(words) + len(words)] + begun[len(begun.rstrip()) :]
        except Exception as error:
            # A template is a program that comes with the model; it may fail in any way on roles that it doesn't know.
            raise AskError("ask-failed", "The model's chat template doesn't take these messages.") from error
        fast = self._tokenizer.is_fast
        encoded = self._tokenizer(text, add_special_tokens=False, return_offsets_mapping=fast)
        return Prompt(text, encoded["input_ids"], encoded["offset_mapping"] if fast else [])

    def _decode(self, tokens: list[int], *, skip_special_tokens: bool = True) -> str:
        text: str = self._tokenizer.decode(
            tokens, skip_special_tokens=skip_special_tokens, clean_up_tokenization_spaces=False
        )
        return text

    def _advance(self, chain: Chain, most: int, emit: Emit, cancelled: Callable[[], bool]) -> torch.Tensor:
        """The logits of the token that follows a chain's.

        What fails is tried again by another way, with all tokens of the chain, as far as time and attempts go.

        :param most: tokens that the chain will ever have
        """
        if len(chain.tokens) > chain.length:
            chain.close()
        began = time.monotonic()
        refusals = 0
        for attempt in itertools.count(1):
            try:
                if chain.session is None:
                    chain.open(self._blocks, self._length(chain, most, refusals))
                return self._feed(chain, emit, cancelled)
            except Cancelled:
                raise
            except Exception as error:
                logger.warning("A step failed: %s: %s", type(error).__name__, error)
                chain.close()
                held = re.search(r"Cannot allocate KV cache for \d+ tokens, max = (\d+)", str(error))
                if held:
                    self._held = int(held[1])
                late = time.monotonic() - max(began, self._heard) > RECOVERY_SECONDS
                if late or attempt == MAX_ATTEMPTS or self._closed or len(chain.tokens) > self._room:
                    raise self._explain(error, chain) from error
                if "Could not allocate" in str(error):
                    refusals += 1
                    self._kept.close()
                elif not held:
                    emit(Progress("recovering"))
            self.check_route()
        raise AssertionError

    def _length(self, chain: Chain, most: int, refusals: int) -> int:
        """For how many tokens to reserve memory: less after each time that the peers had not so much left."""
        needed = len(chain.tokens) + (ANSWER_ROOM >> refusals)
        length = RESERVED
        while length < needed:
            length *= 2
        return min(max(length >> refusals, needed), most, self._room)

    def _feed(self, chain: Chain, emit: Emit, cancelled: Callable[[], bool]) -> torch.Tensor:
        """Gives the peers what they don't hold yet. The logits after the last token; shape: [vocabulary]."""
        total, size = len(chain.tokens), PROMPT_STEP
        long = total - chain.fed > size and not chain.answer
        while True:
            if cancelled():
                raise Cancelled
            if long:
                emit(Progress("reading-prompt", chain.fed, total))
            began = time.monotonic()
            hidden = self._step(chain.session, chain.tokens[chain.fed : chain.fed + size])
            self._heard = time.monotonic()
            if chain.fed == total:
                chain.note_route()
                return self._logits(hidden)
            took = self._heard - began
            size = size * 2 if took < STEP_SECONDS[0] else max(1, size // 2) if took > STEP_SECONDS[1] else size

    @torch.inference_mode()
    def _step(self, session: Any, tokens: list[int]) -> torch.Tensor:
        with self._model.use_session(session):
            hidden: torch.Tensor = self._model.transformer(torch.tensor([tokens])).last_hidden_state
        return hidden

    @torch.inference_mode()
    def _logits(self, hidden: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self._model.lm_head(hidden[:, -1])[0]
        return logits

    def _explain(self, error: Exception, chain: Chain) -> AskError:
        """What a failed step means to a person.

        :raises AskError: missing-blocks, swarm-unreachable
        """
        if len(chain.tokens) > self._room:
            return AskError(
                "prompt-too-long",
                f"The conversation takes {len(chain.tokens)} tokens, but the swarm's peers hold {self._room} at most.",
            )
        if "Could not allocate" in str(error):
            return AskError("ask-failed", "The swarm's peers have no memory left for another conversation.")
        if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
            return AskError("ask-timeout", f"A peer did not answer for {REQUEST_TIMEOUT:.0f} seconds.")
        if REFUSAL in str(error):
            # It answers, and the swarm's table may not have reached us: it isn't among the silent ones yet.
            return AskError(
                "missing-blocks",
                "A peer is about to leave and takes no new answers, and no other could be asked in its place.",
            )
        silent = self.silent_blocks()
        if not silent and not self._closed and time.monotonic() - self._heard < RECOVERY_SECONDS:
            # Attempts that fail at once are over before that.
            time.sleep(LOOK_AGAIN_SECONDS)
            self.check_route()
            silent = self.silent_blocks()
        if not chain.answer and len(silent) in (0, len(self._blocks)):
            return AskError("swarm-unreachable", "The peers that serve the model don't answer.")
        if silent:
            return AskError(
                "missing-blocks",
                f"The peers that served blocks {ranges(silent)} of {len(self._blocks)} have gone, and nobody else "
                "has them.",
            )
        return AskError("ask-failed", "The peers that serve the model stopped answering.")

    def close(self) -> None:
        """Leaves the swarm and ends the processes. A step that still runs in another thread fails."""
        self._closed = True
        with suppress(Exception):
            run_bounded(self._kept.close, CLOSE_TIMEOUT)
        with suppress(Exception):
            run_bounded(self._blocks.shutdown, CLOSE_TIMEOUT)
        processes = descendants(self._blocks.dht.pid)
        with suppress(Exception):
            run_bounded(lambda: RemoteExpertWorker.run_coroutine(self._blocks.state.p2p.shutdown()), CLOSE_TIMEOUT)
        with suppress(Exception):
            run_bounded(self._blocks.dht.shutdown, 2 * CLOSE_TIMEOUT)
            self._blocks.dht.kill()
        kill(processes)
        logger.info("Closed the client of %s", self.swarm.dht_prefix)


class TokenChooser:
    """Picks a token by its logits: the likeliest at temperature 0, else a random one out of the likeliest ``top_p``."""

    def __init__(self, sampling: Sampling) -> None:
        self._temperature, self._top_p = sampling.chosen()
        self._random = torch.Generator()
        if sampling.seed is None:
            self._random.seed()
        else:
            self._random.manual_seed(sampling.seed)

    def __call__(self, logits: torch.Tensor) -> int:
        if self._temperature == 0:
            return int(logits.argmax())
        chances, tokens = torch.softmax(logits / self._temperature, dim=-1).sort(descending=True)
        unlikely = chances.cumsum(dim=-1) - chances >= self._top_p
        unlikely[0] = False
        chances[unlikely] = 0
        return int(tokens[torch.multinomial(chances, 1, generator=self._random)])


class SwarmClient:
    """Keeps the engine of the last swarm, so that a second question needn't load it again."""

    def __init__(self) -> None:
        self.engine: SwarmEngine | None = None

    def answer(self, question: Question, emit: Emit, cancelled: Callable[[], bool]) -> Finished:
        """Answers a chat as ``SwarmEngine.answer`` does, by the engine that is kept or by a new one.

        What a kept one knows of the swarm can be minutes old: a peer may have come back with other blocks. So where it
        fails before anything was told, a new one looks afresh, once.
        """
        assert isinstance(question.target, Swarm)
        told = False

        def tell(piece: Progress | Delta) -> None:
            nonlocal told
            told = told or isinstance(piece, Delta)
            emit(piece)

        kept = self.engine
        engine = self.connect(question.target, question.conversation, emit)
        try:
            return engine.answer(question, tell, cancelled)
        except AskError as error:
            if told or engine is not kept or error.code not in ("swarm-unreachable", "missing-blocks", "ask-failed"):
                raise
        logger.info("The known route failed: connecting anew")
        self.discard()
        return self.connect(question.target, question.conversation, emit).answer(question, emit, cancelled)

    def connect(self, swarm: Swarm, conversation: str | None, emit: Emit) -> SwarmEngine:
        """An engine for ``swarm`` whose blocks are all served.

        :param emit: told when connecting takes more than a look
        :raises AskError: as ``SwarmEngine`` and ``check_route``
        :raises Stuck: when the event loop that all engines of this process share doesn't answer
        """
        engine = self.engine
        check_loop()
        if engine is not None and engine.swarm == swarm:
            if engine.is_in_touch(conversation):
                return engine
            # A client doesn't look again for a peer that was away: only a new one finds it.
            with suppress(AskError):
                engine.check_route()
                if not engine.silent_blocks():
                    return engine
            logger.info("The route is gone: connecting anew")
        emit(Progress("connecting"))
        self.discard()
        engine = SwarmEngine(swarm)
        self.engine = engine
        engine.check_route()
        return engine

    def discard(self) -> None:
        """Closes what is kept.

        :raises Stuck: as ``connect``
        """
        engine, self.engine = self.engine, None
        if engine is not None:
            engine.close()
        check_loop()


def check_loop() -> None:
    """:raises Stuck: when hivemind's event loop hangs"""
    try:
        run_bounded(lambda: RemoteExpertWorker.run_coroutine(asyncio.sleep(0)), LOOP_TIMEOUT)
    except TimeoutError:
        raise Stuck from None


def check_address(peer: str) -> None:
    """:raises AskError: swarm-invalid for what is no multiaddr."""
    try:
        Multiaddr(peer)
    except ValueError as error:
        raise AskError("swarm-invalid", f"{peer} is not a peer's address.") from error


def unreachable() -> AskError:
    """Nobody answers at all."""
    return AskError("swarm-unreachable", "None of the swarm's first peers answers.")


def missing_blocks(missing: Sequence[int], total: int) -> AskError:
    """The swarm answers, but some blocks have nobody."""
    return AskError("missing-blocks", f"Nobody serves blocks {ranges(missing)} of {total}.")


def ranges(numbers: Sequence[int]) -> str:
    """Sorted numbers as people write them, both ends included: ``0-4, 7``."""
    parts: list[list[int]] = []
    for number in numbers:
        if parts and number == parts[-1][-1] + 1:
            parts[-1].append(number)
        else:
            parts.append([number])
    return ", ".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)


def as_set(tokens: int | Sequence[int] | None) -> set[int]:
    """Token ids as configs write them: one, several or none."""
    if tokens is None:
        return set()
    return {tokens} if isinstance(tokens, int) else set(tokens)

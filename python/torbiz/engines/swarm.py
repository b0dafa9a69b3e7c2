"""Asks a model whose blocks are served by the peers of a Petals swarm."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from typing import Any

from torbiz import petals_compat  # noqa: F401  (its import is its effect; it must come before petals)

# isort: split
import torch
from hivemind.moe.client.remote_expert_worker import RemoteExpertWorker
from hivemind.p2p.p2p_daemon_bindings.utils import P2PDaemonError
from hivemind.utils.multiaddr import Multiaddr
from petals import AutoDistributedModelForCausalLM
from petals.client.inference_session import InferenceSession, _ServerInferenceSession
from petals.client.routing.sequence_manager import MissingBlocksError
from petals.constants import PUBLIC_INITIAL_PEERS
from transformers import AutoTokenizer
from transformers.utils.logging import disable_progress_bar

from torbiz.engines.base import AskError, Cancelled, Delta, Finished, Message, Sampling, Stuck, Swarm
from torbiz.engines.text import StopFilter, TokenDecoder
from torbiz.processes import descendants, kill, run_bounded

logger = logging.getLogger("torbiz.engines.swarm")
disable_progress_bar()


def _close_without_waiting(session: Any) -> None:
    if session._outputs_stream is not None:
        RemoteExpertWorker.run_coroutine(session._aclose_stream(), return_future=True)


# Petals waits in this destructor for work of its event loop's thread. Whenever it is that very thread that collects the
# session, both wait for ever, and with them every later question.
_ServerInferenceSession.__del__ = _close_without_waiting

REQUEST_TIMEOUT = 50.0
"""Seconds for one step of all blocks of one peer. With MAX_ATTEMPTS it stays under the time that a client waits."""
MAX_ATTEMPTS = 2
"""Petals tries for ever unless told otherwise."""
CONNECT_TIMEOUT = 15
ROUTE_TIMEOUT = 10.0
CLOSE_TIMEOUT = 3.0
LOOP_TIMEOUT = 5.0
DEFAULT_MAX_TOKENS = 1024
"""For a request that names none: peers reserve memory for the whole length beforehand, so it can't be all there is."""


class SwarmEngine:
    """A client of one swarm for one model. It has a peer of its own, in processes of its own: ``close`` ends them.

    :raises AskError: model-broken, swarm-invalid, swarm-unreachable
    """

    def __init__(self, swarm: Swarm) -> None:
        self.swarm = swarm
        started = time.monotonic()
        for peer in swarm.initial_peers:
            check_address(peer)
        try:
            self._tokenizer: Any = AutoTokenizer.from_pretrained(swarm.model_path, local_files_only=True)
            self._model: Any = AutoDistributedModelForCausalLM.from_pretrained(
                swarm.model_path,
                local_files_only=True,
                initial_peers=list(swarm.initial_peers or PUBLIC_INITIAL_PEERS),
                dht_prefix=swarm.dht_prefix,
                torch_dtype=torch.float32,
                show_route=False,
                max_retries=MAX_ATTEMPTS,
                request_timeout=REQUEST_TIMEOUT,
                daemon_startup_timeout=CONNECT_TIMEOUT,
            )
        except P2PDaemonError as error:
            logger.error("Connecting failed: %s", error)
            raise unreachable() from error
        except RuntimeError as error:
            if "bootstrap" in str(error):
                raise unreachable() from error
            raise AskError("model-broken", "The model's files can't be read.") from error
        except (OSError, ValueError, KeyError, AssertionError) as error:
            logger.error("Loading failed: %s", type(error).__name__)
            raise AskError("model-broken", "The model's files can't be read.") from error
        self._blocks: Any = self._model.transformer.h.sequence_manager
        config = self._model.config
        self.context = int(config.max_position_embeddings)
        self._end_tokens = as_set(config.eos_token_id) | as_set(self._model.generation_config.eos_token_id)
        self._end_tokens |= as_set(self._tokenizer.eos_token_id)
        logger.info("Loaded the client of %s in %.1f s", swarm.dht_prefix, time.monotonic() - started)

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
            if len(missing) == len(self._blocks) and not self._connected_peers():
                raise unreachable()
        except TimeoutError:
            raise unreachable() from None
        raise missing_blocks(missing, len(self._blocks))

    def hears_peers(self) -> bool:
        """Whether, for each block, a peer answered when the route was last checked.

        A peer that has gone stays in this client's memory of the DHT for minutes. One that is slow or relayed can
        miss the time for an answer (2 s) too, so this is a reason to connect anew, and not yet a failure.
        """
        times = self._blocks.ping_aggregator.to_dict()
        route = self._blocks.state.sequence_info.spans_containing_block
        return all(any(times.get(span.peer_id, 0.0) < math.inf for span in spans) for spans in route)

    def _connected_peers(self) -> Sequence[object]:
        async def list_peers() -> Sequence[object]:
            peers: Sequence[object] = await self._blocks.state.p2p.list_peers()
            return peers

        return run_bounded(lambda: RemoteExpertWorker.run_coroutine(list_peers()), CLOSE_TIMEOUT)

    def generate(
        self, messages: Sequence[Message], sampling: Sampling, cancelled: Callable[[], bool]
    ) -> Iterator[Delta | Finished]:
        """Answers a chat token by token; every token is computed once, as the peers keep what came before.

        :param cancelled: asked before each token
        :raises AskError: prompt-too-long, missing-blocks, swarm-unreachable, ask-timeout, ask-failed
        :raises Cancelled: when ``cancelled`` says so
        """
        prompt = self._encode(messages)
        room = self.context - len(prompt)
        if room < 1:
            raise AskError(
                "prompt-too-long",
                f"The question takes {len(prompt)} tokens; the model has room for {self.context}, its answer included.",
            )
        limit = min(sampling.max_tokens or DEFAULT_MAX_TOKENS, room)
        choose = TokenChooser(sampling)
        decoder = TokenDecoder(self._decode)
        stops = StopFilter(sampling.stop)
        session = InferenceSession(self._blocks, max_length=len(prompt) + limit)
        made = 0
        reason = "length"
        try:
            new_tokens = prompt
            while made < limit:
                if cancelled():
                    raise Cancelled
                token = choose(self._step(session, new_tokens, first=made == 0))
                made += 1
                if token in self._end_tokens:
                    reason = "stop"
                    yield Delta("", token)
                    break
                yield Delta(stops.add(decoder.add(token)), token)
                if stops.stopped:
                    break
                new_tokens = [token]
            rest = "" if stops.stopped else stops.add(decoder.flush()) + stops.flush()
            if stops.stopped:
                reason = "stop"
            yield Finished(rest, "stop" if reason == "stop" else "length", len(prompt), made)
        finally:
            # Closing waits for each peer's goodbye, and a peer that hangs never says it.
            with suppress(Exception):
                run_bounded(session.close, CLOSE_TIMEOUT)

    def _encode(self, messages: Sequence[Message]) -> list[int]:
        try:
            tokens: list[int] = self._tokenizer.apply_chat_template(list(messages), add_generation_prompt=True)
        except Exception as error:
            # A template is a program that comes with the model; it may fail in any way on roles that it doesn't know.
            raise AskError("ask-failed", "The model's chat template doesn't take these messages.") from error
        return tokens

    def _decode(self, tokens: list[int]) -> str:
        text: str = self._tokenizer.decode(tokens, skip_special_tokens=True, clean_up_tokenization_spaces=False)
        return text

    @torch.inference_mode()
    def _step(self, session: Any, tokens: list[int], *, first: bool) -> torch.Tensor:
        """The logits of the token after ``tokens``, which follow those of earlier steps. Shape: [vocabulary]."""
        try:
            with self._model.use_session(session):
                hidden = self._model.transformer(torch.tensor([tokens])).last_hidden_state
        except Exception as error:
            raise explain(error, len(self._blocks), first=first) from error
        logits: torch.Tensor = self._model.lm_head(hidden[:, -1])[0]
        return logits

    def close(self) -> None:
        """Leaves the swarm and ends the processes. A step that still runs in another thread fails."""
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
        self._temperature = sampling.temperature
        self._top_p = sampling.top_p
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

    def generate(
        self, swarm: Swarm, messages: Sequence[Message], sampling: Sampling, cancelled: Callable[[], bool]
    ) -> Iterator[Delta | Finished]:
        """Answers a chat as ``SwarmEngine.generate`` does, by the engine that is kept or by a new one.

        What a kept one knows of the swarm can be minutes old: a peer may have come back with other blocks. So where it
        fails before the first token, a new one looks afresh, once.
        """
        kept = self.engine
        engine = self.connect(swarm)
        pieces = engine.generate(messages, sampling, cancelled)
        try:
            first = next(pieces)
        except AskError as error:
            if engine is not kept or error.code not in ("swarm-unreachable", "missing-blocks", "ask-failed"):
                raise
            logger.info("The known route failed: connecting anew")
            self.discard()
            pieces = self.connect(swarm).generate(messages, sampling, cancelled)
            first = next(pieces)
        yield first
        yield from pieces

    def connect(self, swarm: Swarm) -> SwarmEngine:
        """An engine for ``swarm`` whose blocks are all served.

        :raises AskError: as ``SwarmEngine`` and ``check_route``
        :raises Stuck: when the event loop that all engines of this process share doesn't answer
        """
        engine = self.engine
        check_loop()
        if engine is not None and engine.swarm == swarm:
            # A client doesn't look again for a peer that was away: only a new one finds it.
            with suppress(AskError):
                engine.check_route()
                if engine.hears_peers():
                    return engine
            logger.info("The route is gone: connecting anew")
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


def explain(error: Exception, total: int, *, first: bool) -> AskError:
    """What a failed step means to a person. ``first``: nothing was answered yet."""
    logger.error("A step failed: %s: %s", type(error).__name__, error)
    if isinstance(error, MissingBlocksError):
        return AskError("missing-blocks", f"Some of the model's {total} blocks have nobody left to serve them.")
    if isinstance(error, (TimeoutError, asyncio.TimeoutError)):
        return AskError("ask-timeout", f"A peer did not answer for {MAX_ATTEMPTS * REQUEST_TIMEOUT:.0f} seconds.")
    if held := re.search(r"Cannot allocate KV cache for (\d+) tokens, max = (\d+)", str(error)):
        return AskError(
            "prompt-too-long",
            f"Question and answer may take {held[1]} tokens together, but the swarm's peers hold {held[2]} at most.",
        )
    if "Could not allocate" in str(error):
        return AskError("ask-failed", "The swarm's peers have no memory left for another conversation.")
    if first:
        return AskError("swarm-unreachable", "The peers that serve the model don't answer.")
    return AskError("ask-failed", "The peers that serve the model stopped answering.")


def as_set(tokens: int | Sequence[int] | None) -> set[int]:
    """Token ids as configs write them: one, several or none."""
    if tokens is None:
        return set()
    return {tokens} if isinstance(tokens, int) else set(tokens)

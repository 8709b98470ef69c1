"""One HTTP/1.1 connection: requests in, answers out in the same order, timeouts, backpressure.

Invariant: at most one request of a connection is being answered; the others wait in order.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol, cast

from petset.base.answers import AnswerWriter
from petset.base.deadline import Deadline
from petset.base.duplex import (
    HIGH_WATER,
    Gate,
    RawDuplex,
    StreamWriter,
    close_within,
)
from petset.base.http import (
    AtOnce,
    CutError,
    Handler,
    Later,
    Reply,
    Request,
    Response,
    Stream,
    Upgrade,
)
from petset.base.intake import Incoming, Intake, Limits, Refusal, Stage
from petset.base.peer import peer_certificate, remote
from petset.base.repeat import Repeats
from petset.base.wirehead import HeaderError, Heads

log = logging.getLogger(__name__)

OnRefuse = Callable[[int, str], Response]
"""Makes the answer to a request that the edge itself refuses: (status, words for people)."""

_NO_REQUEST = Request("", "")
_FAIR = 64
"""Requests of one connection that are answered before other connections get a turn."""


class Owner(Protocol):
    """What a connection needs of its edge."""

    handler: Handler
    at_once: AtOnce | None
    on_refuse: OnRefuse
    limits: Limits
    heads: Heads
    closing: bool

    def opened(self, connection: "Connection") -> None:
        """A connection is there."""
        ...

    def lost(self, connection: "Connection") -> None:
        """A connection is gone."""
        ...


class Connection(asyncio.Protocol):
    """One connection of an edge."""

    _transport: asyncio.Transport
    _intake: Intake
    _answers: AnswerWriter

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._limits = owner.limits
        self._loop = asyncio.get_running_loop()
        self._gate = Gate()
        self._task: asyncio.Task[None] | None = None
        self._awaits_later = False
        self._deadline = Deadline(self._loop, self._expire)
        self._linger: asyncio.TimerHandle | None = None
        self._reading_paused = False
        self._discarding = False
        self._ended = False
        self._tls = False
        self._streaming = False
        self._lost = False
        self._repeats = Repeats()
        self._early: list[bytes] = []
        self._early_bytes = 0
        self._raw: RawDuplex | None = None

    # From the transport.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """From the transport."""
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are not registered as such
        ssl_object = self._transport.get_extra_info("ssl_object")
        self._tls = ssl_object is not None
        peer = peer_certificate(ssl_object) if ssl_object is not None else None
        self._intake = Intake(self._limits, peer, remote(self._transport))
        self._answers = AnswerWriter(
            self._transport, self._gate, self._owner.heads, self._limits.stall_s
        )
        self._owner.opened(self)
        if self._owner.closing:
            transport.close()
        self._deadline.set(self._limits.head_s)

    def data_received(self, data: bytes) -> None:
        """From the transport."""
        intake = self._intake
        if self._discarding or self._answered_at_once(data):
            return
        if intake.stage is Stage.ENDED:
            self._keep_early(data)
            return
        before = intake.stage
        intake.feed(data)
        if intake.early:
            self._keep_early(intake.early)
            intake.early = b""
        self._watch_stage(before)
        if intake.ready and not self._busy:
            if before is Stage.IDLE and len(intake.ready) == 1:
                self._learn(data, intake.ready[0])
            self._start_work()
        elif intake.wants_continue and not self._busy:
            self._say_continue()
        if len(intake.ready) > self._limits.pipelined:
            self._pause_reading()

    def _learn(self, data: bytes, item: Incoming | Refusal) -> None:
        if self._intake.stage is Stage.IDLE and isinstance(item, Incoming):
            self._repeats.learn(data, item)

    def _answered_at_once(self, data: bytes) -> bool:
        """Answer a whole request of a known form without a task; False where that cannot be."""
        at_once = self._owner.at_once
        if at_once is None or self._busy or self._intake.stage is not Stage.IDLE:
            return False
        request = self._repeats.request(data)
        if request is None or self._owner.closing or self._transport.is_closing():
            return False
        try:
            reply = at_once(request)
            if reply is None:
                return False
            if isinstance(reply, Later):
                reply.take = self._take
                self._awaits_later = True
                self._deadline.never()
                return True
            whole = self._answers.whole(reply)
        except Exception:  # a bug costs the fast path only: the handler is called
            log.exception("%s %s failed at once", request.method, request.path)
            return False
        self._transport.write(whole)
        if self._gate.paused:
            self._start_work()
        else:
            self._deadline.set(self._limits.idle_s)
        return True

    def _take(self, reply: Response) -> None:
        """Send the answer that a `Later` announced."""
        self._awaits_later = False
        if self._transport.is_closing():
            return
        parting = self._owner.closing and not self._intake.ready
        try:
            whole = self._answers.whole(reply, "Connection: close\r\n" if parting else "")
        except HeaderError:
            log.exception("an answer that came later")
            whole = self._answers.whole(self._owner.on_refuse(500, "internal error"))
        self._transport.write(whole)
        if self._intake.ready or self._gate.paused:
            self._start_work()
        else:
            self._rest()

    @property
    def _busy(self) -> bool:
        """Whether a request is being answered."""
        return self._task is not None or self._awaits_later

    def _keep_early(self, data: bytes) -> None:
        """Bytes behind the last message: kept for the next protocol, if there is to be one."""
        self._early.append(bytes(data))
        self._early_bytes += len(data)
        if self._early_bytes > HIGH_WATER:
            self._pause_reading()

    def eof_received(self) -> bool:
        """From the transport: the peer sends no more. What it asked for before is answered.

        A stream ends: a peer that closes its connection looks just like this.
        """
        self._ended = True
        if self._streaming:
            self._gate.lose()
            self._cancel_stream()
        if not self._busy or self._tls:
            return False
        self._deadline.never()
        return True

    def pause_writing(self) -> None:
        """From the transport."""
        self._gate.pause()

    def resume_writing(self) -> None:
        """From the transport."""
        self._gate.resume()

    def connection_lost(self, exc: BaseException | None) -> None:
        """From the transport."""
        self._lost = True
        self._gate.lose()
        self._deadline.stop()
        if self._linger is not None:
            self._linger.cancel()
        self._cancel_stream()
        self._owner.lost(self)

    # From the edge.

    @property
    def task(self) -> "asyncio.Task[None] | None":
        """The task that answers, while there is one."""
        return self._task

    def wind_down(self) -> None:
        """Close when idle; end a stream; let a request in flight have its answer."""
        if not self._busy:
            self._close()
        elif self._raw is not None and self._task is not None:
            self._task.cancel()
        else:
            self._cancel_stream()

    def _close(self) -> None:
        """Close when the peer has taken what was written, or has had its time for that."""
        if not self._lost:
            close_within(self._transport, self._limits.stall_s)

    def abort(self) -> None:
        """Close at once."""
        if self._task is not None:
            self._task.cancel()
        self._transport.abort()

    def _cancel_stream(self) -> None:
        """Cancel a running stream, once: its cleaning up must not be cancelled as well."""
        if self._streaming and self._task is not None:
            self._streaming = False
            self._task.cancel()

    # Time.

    def _watch_stage(self, before: Stage) -> None:
        stage = self._intake.stage
        if stage is Stage.HEAD:
            if before is not Stage.HEAD:
                self._deadline.set(self._limits.head_s)
        elif stage is Stage.BODY:
            if before is not Stage.BODY:
                self._deadline.set(self._limits.body_s)
        elif self._intake.ready or self._busy:
            self._deadline.never()

    def _expire(self) -> None:
        if self._transport.is_closing():
            return
        if self._reading_paused:
            self._deadline.set(self._limits.body_s)
            return
        intake = self._intake
        self._deadline.never()
        if intake.stage in (Stage.HEAD, Stage.BODY):
            intake.refuse(Refusal(408, "the request took too long to arrive"))
            if not self._busy:
                self._start_work()
        elif not self._busy:
            self._close()

    # Reading.

    def _pause_reading(self) -> None:
        if not self._reading_paused and not self._transport.is_closing():
            self._reading_paused = True
            self._transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused and not self._transport.is_closing():
            self._reading_paused = False
            self._transport.resume_reading()

    def _say_continue(self) -> None:
        self._intake.wants_continue = False
        self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # Answering.

    def _start_work(self) -> None:
        self._task = self._loop.create_task(self._work())

    async def _work(self) -> None:
        try:
            await self._answer_all()
        except asyncio.CancelledError:
            self._close()
            raise
        finally:
            self._task = None
        self._rest()

    async def _answer_all(self) -> None:
        ready = self._intake.ready
        turns = 0
        if self._gate.paused:
            await self._answers.drain()
        while ready and not self._transport.is_closing():
            item = ready.popleft()
            if self._reading_paused and len(ready) <= self._limits.pipelined // 2:
                self._resume_reading()
            if isinstance(item, Refusal):
                await self._answer_refusal(item)
                return
            await self._answer(item)
            turns += 1
            if turns % _FAIR == 0:
                await asyncio.sleep(0)

    def _rest(self) -> None:
        """Nothing is left to answer."""
        if self._transport.is_closing() or self._discarding:
            return
        if self._ended or self._owner.closing:
            self._close()
            return
        if self._intake.wants_continue:
            self._say_continue()
        if self._intake.stage is Stage.IDLE:
            self._deadline.set(self._limits.idle_s)

    async def _answer(self, incoming: Incoming) -> None:
        reply = await self._reply(incoming)
        if self._transport.is_closing():
            return
        if self._owner.closing and not self._intake.ready:
            incoming.keep_alive = False
        try:
            await self._send_reply(reply, incoming)
        except HeaderError:
            log.exception("%s %s", incoming.request.method, incoming.request.path)
            await self._answers.send(self._owner.on_refuse(500, "internal error"), incoming)
        if not incoming.keep_alive:
            self._close()

    async def _send_reply(self, reply: Reply, incoming: Incoming) -> None:
        match reply:
            case Response():
                await self._answers.send(reply, incoming)
            case Stream():
                await self._send_stream(reply, incoming)
            case Upgrade():
                await self._switch(reply)

    async def _reply(self, incoming: Incoming) -> Reply:
        request = incoming.request
        try:
            reply = await self._owner.handler(request)
        except CutError:
            self._transport.abort()
            return Response()
        except Exception:  # the seam's promise: a bug in a handler costs its request only
            log.exception("%s %s failed", request.method, request.path)
            return self._owner.on_refuse(500, "internal error")
        if isinstance(reply, Upgrade) and not incoming.upgrade:
            log.error("%s %s was upgraded without asking", request.method, request.path)
            return self._owner.on_refuse(500, "internal error")
        return reply

    async def _send_stream(self, stream: Stream, incoming: Incoming) -> None:
        writer = self._answers.open_stream(stream, incoming)
        if writer is None:
            return
        if await self._run_stream(stream.run, writer):
            writer.end()
        else:
            incoming.keep_alive = False
            self._transport.abort()

    async def _run_stream(
        self, run: Callable[[StreamWriter], Awaitable[None]], writer: StreamWriter
    ) -> bool:
        """Whether the stream ended as it should, that is: not by an error of its own."""
        if self._parting():
            return True
        self._streaming = True
        try:
            await run(writer)
        except asyncio.CancelledError:
            if not self._parting():
                raise
            writer.end()
            self._close()
        except CutError:
            return False
        except Exception:  # the seam's promise: a stream that raises is cut
            log.exception("a stream failed")
            return False
        finally:
            self._streaming = False
        return True

    def _parting(self) -> bool:
        """Whether there is a reason to end streams: peer gone or going, or the edge closing."""
        return self._owner.closing or self._ended or self._gate.lost

    async def _answer_refusal(self, refusal: Refusal) -> None:
        request = Incoming(_NO_REQUEST, keep_alive=False)
        await self._answers.send(self._owner.on_refuse(refusal.status, refusal.reason), request)
        self._discarding = True
        self._early.clear()
        # The peer may still be sending: a close now would reset the connection under the answer.
        if not self._tls and self._transport.can_write_eof():
            self._transport.write_eof()
        self._resume_reading()
        self._deadline.stop()
        self._linger = self._loop.call_later(self._limits.linger_s, self._transport.abort)

    async def _switch(self, upgrade: Upgrade) -> None:
        transport = self._transport
        transport.write(upgrade.head or self._owner.heads.switch(upgrade.headers))
        self._deadline.never()
        raw = RawDuplex(transport, self._gate, b"".join(self._early), self._raw_lost)
        self._early.clear()
        self._raw = raw
        transport.set_protocol(raw)
        if self._ended:
            raw.eof_received()
        self._resume_reading()
        try:
            await upgrade.run(raw)
        except Exception:  # the same promise as for streams
            log.exception("a switched connection failed")
            raw.abort()
        finally:
            raw.close()

    def _raw_lost(self) -> None:
        self._owner.lost(self)

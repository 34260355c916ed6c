"""The composition root: the only file that knows every room. Builds a worker and runs it.

A worker that fails leaves at once, with the exit code of its cause (stream/flow/stops.py): what is
not committed comes again at the next start. A worker that is asked to stop commits what is applied.
"""

import asyncio
import gc
import logging
import os
import signal
import sys
import time
from collections.abc import Mapping
from functools import partial
from importlib.metadata import version
from typing import Any

from stream.flow.account import Account
from stream.flow.follow import Follower
from stream.flow.limits import FlowLimits
from stream.flow.look_up import LookUp
from stream.flow.models import Models
from stream.flow.observe import ProduceError
from stream.flow.opening import Opener
from stream.flow.quarantine import Quarantine
from stream.flow.restore import Engines
from stream.flow.runtime import threads
from stream.flow.stops import WorkerStopError
from stream.flow.warm_up import warm_up
from stream.flow.worker import Worker
from stream.local.crash_notes import FileCrashNotes
from stream.local.stop_counts import StopCounts
from stream.settings import Settings
from stream.shell.control import ControlThread, read_control
from stream.shell.direct import DirectProducer
from stream.shell.faust_app import ChunkApp, make_faust_app
from stream.shell.gpu import open_gpus
from stream.shell.health import Health
from stream.shell.live import Live
from stream.shell.metrics import Metrics
from stream.shell.producer import ProducerConfig
from stream.shell.transaction import TransactionalProducer
from stream.shell.watchdog import Check, LoopBeat, Watchdog, app_checks, exit_after
from stream.shell.web import Web
from stream.wire.decode import Decoder
from stream.wire.topics import CONTROL, INPUTS, STATE

log = logging.getLogger(__name__)

# A thread that comes back from compiled code or ONNX Runtime waits up to this long for the
# interpreter while another decodes: at the default of 5 ms, scoring took 61 us a row, not 4.7; at
# 0.2 ms the switching itself cost 6 us an event.
SWITCH_S = 0.001
# Rows live in arrays, and a chunk's lists come and go by reference count: looking for cycles after
# each 700 objects, the default, finds none.
GC_THRESHOLDS = (50_000, 20, 20)
# A hop to the decoding or scoring thread and back waits for the interpreter twice.
AT_ONCE_ROWS_MAX = 64
DRAIN_S = 30.0  # for an orderly stop
TELL_EVERY_S = 1.0
FIND_S = 5.0  # a user, for the live page


class GroupTransaction:
    """flow.ports.Transaction: the producer, with the app's membership and table filled in."""

    def __init__(self, producer: TransactionalProducer, app: ChunkApp) -> None:
        self._producer = producer
        self._app = app
        self.begin = producer.begin
        self.produce = producer.produce

    def produce_header(self, topic: str, partition: int, key: bytes, value: bytes) -> None:
        """Queue a header; the table learns its offset."""
        self._producer.produce_header(topic, partition, key, value, self._app.table.advance)

    def commit(self, offsets: Mapping[tuple[str, int], int]) -> None:
        """Commit as the present member of the group."""
        self._producer.commit(offsets, self._app.membership())


class Tap:
    """flow.ports.Fetching and Intake stand in a circle with the app: this closes it."""

    app: ChunkApp

    def hold(self, topic: str, partition: int) -> None:
        """Stop fetching."""
        self.app.hold(topic, partition)

    def release(self, topic: str, partition: int) -> None:
        """Fetch again."""
        self.app.release(topic, partition)

    def rests(self, topic: str, partition: int, position: int, until_ms: int) -> bool:
        """Tell whether it is no use to wait."""
        return self.app.rests(topic, partition, position, until_ms)

    def fail(self, error: WorkerStopError) -> None:
        """Stop the worker."""
        self.app.fail(error)


class Service:
    """One worker process, built and not yet started."""

    def __init__(self, settings: Settings, bootstrap: str, instance: int, partitions: int) -> None:
        self.settings = settings
        self.metrics = Metrics(partitions)
        self._stops = StopCounts(settings.state_path / "instances", settings.group, instance)
        self._restoring: set[int] = set()  # partitions of which records still to read were told
        self.health = Health()
        opener = Opener(settings, partitions, self.metrics)
        control_topic = settings.topic(CONTROL)
        record, positions = read_control(
            bootstrap, control_topic, settings.model_name, settings.security
        )
        serving = opener.first(record)
        inputs = [settings.topic(name) for name in INPUTS]
        config = settings.engine(serving.refresh_steps, opener.hazard_edges_ms)
        engines = Engines(config, partitions, settings.batch_events_max)
        producer_config = _producer_config(settings, bootstrap, instance)
        self.transaction = TransactionalProducer(
            producer_config, f"{settings.group}-{instance}", self._not_taken
        )
        direct = settings.guarantee == "at_least_once"
        self.direct = DirectProducer(producer_config, self._not_taken) if direct else None
        tap = Tap()
        intake = LateIntake()
        self.app = make_faust_app(
            settings, bootstrap=bootstrap, instance=instance, inputs=inputs,
            state_topic=settings.topic(STATE), store=engines, intake=intake,
        )  # fmt: skip
        tap.app = self.app
        decoder = Decoder(partitions, settings.event_bytes_max, settings.skew_ms_max)
        self._warm_up = partial(
            warm_up, config, partitions, inputs, decoder, serving.scorer, serving.effects
        )
        limits = _limits(settings)
        runtime = threads()
        models = Models(serving, self.metrics, limits, runtime)
        models.tell()
        log.info("model %s on %s", serving.version, serving.provider)
        self._read_gpus = open_gpus() if serving.provider == "cuda" else None
        follower = Follower(models, opener.open, self.metrics)
        self._control = ControlThread(
            bootstrap, control_topic, settings.model_name, positions, follower, record,
            settings.security,
        )  # fmt: skip
        self.worker = Worker(
            limits=limits,
            inputs=inputs,
            engines=engines,
            models=models,
            decoder=decoder,
            account=Account(
                GroupTransaction(self.transaction, self.app),
                self.direct,
                settings.topic(STATE),
                runtime,
            ),
            fetching=tap,
            quarantine=Quarantine(
                FileCrashNotes(settings.state_path / "crashes", settings.group),
                settings.quarantine_max,
                lambda: runtime.now_ms() / 1000,
            ),
            observer=self.metrics,
            runtime=runtime,
            fail=tap.fail,
        )
        intake.worker = self.worker
        self._look_up = LookUp(self.worker, engines, models, config, inputs, partitions)
        self._loop: asyncio.AbstractEventLoop | None = None
        self.live, self.web = self._pages(_about(settings, instance, partitions))

    def _pages(self, about: dict[str, object]) -> tuple[Live, Web]:
        """Build the web server and what its live page shows."""
        settings = self.settings
        live = Live(self.metrics, self.health, about, users=bool(settings.token))
        web = Web(
            settings.web_bind, settings.web_port, self.metrics, self.health, live,
            settings.token, self._find_user,
        )  # fmt: skip
        return live, web

    async def run(self) -> int:
        """Run until a signal or a failure; returns the exit code."""
        self.metrics.provider_wanted(self.settings.provider)
        self.metrics.stops(self._stops.read())
        sys.setswitchinterval(SWITCH_S)
        gc.freeze()  # modules, vocabulary, graphs: never garbage, and many to look at
        gc.set_threshold(*GC_THRESHOLDS)
        self._loop = loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for name in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(name, stop.set)
        self.app.on_fail(lambda error: self._failed(error, loop, stop))
        if self.settings.web_port >= 0:
            log.info("live page, metrics and health on %s", self.web.start())
        log.info("warming up: a second, or half a minute at the first start, which compiles")
        stopping = asyncio.ensure_future(stop.wait())
        warming = asyncio.ensure_future(asyncio.to_thread(self._warm_up))
        await asyncio.wait({warming, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if stop.is_set():
            log.info("stopped while warming up; nothing was begun")
            return self._leave(0)
        log.info("warmed up in %.1f s", await warming)
        self.metrics.worker("restoring")
        await loop.run_in_executor(None, self.transaction.start)
        self.worker.start()
        self._control.start()
        self.app.finalize()
        starting = asyncio.ensure_future(self.app.start())
        telling = asyncio.ensure_future(self._tell(starting))
        watchdog = self._watch(loop)
        await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not stop.is_set():
            await starting
            watchdog.start()
            self._probe()
            self.health.started()
            self.metrics.worker("running")
            log.info("running")
            await stopping
        telling.cancel()
        watchdog.stop()
        if self.app.failure is not None:
            return self._leave(self.app.failure.exit_code)
        return await self._drain(starting)

    async def _drain(self, starting: "asyncio.Future[Any]") -> int:
        """Stop in order: hand partitions over, commit, leave the group."""
        log.info("stopping: committing what is applied")
        self.metrics.worker("draining")
        self.health.add("ready", "stopping", lambda: "the worker is stopping")
        if starting.done():
            try:
                await asyncio.wait_for(self.app.stop(), DRAIN_S)
            except TimeoutError:
                log.exception(
                    "not stopped after %.0f s; what is not committed comes again", DRAIN_S
                )
                return self._leave(1)
        self._control.stop()
        self.worker.stop(5.0)
        loop = asyncio.get_running_loop()
        for producer in (self.transaction, self.direct):
            if producer is not None:
                await loop.run_in_executor(None, producer.close)
        self.web.stop()
        log.info("stopped")
        return self._leave(0 if self.app.failure is None else self.app.failure.exit_code)

    def _leave(self, code: int) -> int:
        """End the process here: threads of Faust and librdkafka are not waited for."""
        logging.shutdown()
        os._exit(code)

    def _watch(self, loop: asyncio.AbstractEventLoop) -> Watchdog:
        checks = app_checks(self.app, LoopBeat(loop))
        checks["engine"] = Check(self.worker.stuck, self.settings.batch_deadline_s)
        self.health.add("live", "worker", self.worker.stuck)
        return Watchdog(checks, self.app.fail)

    def _probe(self) -> None:
        """Register what keeps the worker from being ready."""
        app = self.app

        def assigned() -> str | None:
            return None if self.worker.committed() else "no partitions are assigned"

        def steady() -> str | None:
            return "rebalancing or restoring" if app.rebalancing else None

        self.health.add("ready", "partitions", assigned)
        self.health.add("ready", "rebalance", steady)
        self.health.add("live", "failure", lambda: str(app.failure) if app.failure else None)

    async def _tell(self, starting: "asyncio.Future[Any]") -> None:
        """Set the gauges that nobody else would set while nothing happens."""
        while True:
            asked = time.monotonic()
            await asyncio.sleep(TELL_EVERY_S)
            self.metrics.loop_lag(max(0.0, time.monotonic() - asked - TELL_EVERY_S))
            self.live.sample()
            self._tell_restore(started=starting.done())
            if starting.done():
                self._tell_lag()
                self.metrics.in_flight(self.worker.rows_waiting())
            if self._read_gpus is not None:
                self.metrics.gpus(self._read_gpus())

    def _tell_restore(self, *, started: bool) -> None:
        """Tell what is still to be restored, and whether the group is at rest."""
        moving = self.app.rebalancing or not started
        remaining = self.app.restore_remaining() if moving else {}
        for number in self._restoring | set(remaining):
            self.metrics.restoring(number, remaining.get(number, 0))
        self._restoring = set(remaining)
        if self.app.rebalancing:
            self.metrics.worker("restoring" if remaining else "rebalancing")
        elif started:
            self.metrics.worker("running")

    def _tell_lag(self) -> None:
        names = {self.settings.topic(name): code for code, name in enumerate(INPUTS)}
        committed, oldest_ms = self.worker.committed(), self.worker.oldest_ms()
        now_ms = time.time() * 1000
        for place, (_, end) in self.app.lags().items():
            if place in committed:
                topic, number = place
                age_s = max(0.0, now_ms - oldest_ms.get(place, now_ms)) / 1000
                self.metrics.lag(names[topic], number, max(0, end - committed[place]), age_s)

    def _not_taken(self, topic: str, why: ProduceError) -> None:
        self.metrics.produce_error(topic.removeprefix(self.settings.topic_prefix), why)

    def _find_user(self, key: bytes) -> dict[str, Any]:
        """Look a user up, for a thread of the web server."""
        if self._loop is None:
            return {"found": False, "why": ["the worker is starting"]}
        found = asyncio.run_coroutine_threadsafe(self._look_up.find(key), self._loop)
        try:
            return found.result(FIND_S)
        except (TimeoutError, WorkerStopError):
            found.cancel()
            return {"found": False, "why": ["the worker did not answer in time"]}

    def _failed(
        self, error: WorkerStopError, loop: asyncio.AbstractEventLoop, stop: asyncio.Event
    ) -> None:
        """End the process soon, even if the event loop hangs; the next one tells of it."""
        exit_after(error)
        self._stops.add(error.exit_code)
        loop.call_soon_threadsafe(stop.set)


class LateIntake:
    """The app is built before the worker that it feeds."""

    worker: Worker

    async def on_assigned(self, starts: Mapping[int, Mapping[str, int]]) -> None:
        """Take partitions over."""
        await self.worker.on_assigned(starts)

    async def on_revoked(self, partitions: frozenset[int]) -> None:
        """Hand partitions over."""
        await self.worker.on_revoked(partitions)

    def on_chunk(self, chunk: Any) -> None:
        """Take a chunk."""
        self.worker.on_chunk(chunk)


def _about(settings: Settings, instance: int, partitions: int) -> dict[str, object]:
    """Give what never changes of a worker, for the live page."""
    return {
        "forecart": version("forecart"),
        "group": settings.group,
        "instance": instance,
        "guarantee": settings.guarantee,
        "objective_ms": settings.latency_objective_ms,
        "churn_enter": settings.churn_enter,
        "partitions_total": partitions,
    }


def _producer_config(settings: Settings, bootstrap: str, instance: int) -> ProducerConfig:
    return ProducerConfig(
        bootstrap,
        settings.security,
        client_id=f"{settings.group}-{instance}",
        transaction_timeout_s=settings.transaction_timeout_s,
        commit_deadline_s=settings.commit_deadline_s,
    )


def _limits(settings: Settings) -> FlowLimits:
    return FlowLimits(
        batch_events_max=settings.batch_events_max,
        at_once_rows_max=AT_ONCE_ROWS_MAX,
        topic_bytes_max=settings.buffer_bytes_max // len(INPUTS),
        merge_wait_ms=settings.merge_wait_ms,
        merge_hold_ms=int(settings.merge_hold_s * 1000),
        future_ms_max=settings.future_ms_max,
        commit_interval_s=settings.commit_interval_ms / 1000,
        commit_events_max=settings.commit_events_max,
        commit_bytes_max=settings.commit_bytes_max,
        batch_deadline_s=settings.batch_deadline_s,
        dead_letters_per_minute_max=settings.dead_letters_per_minute_max,
        catch_up_ms=int(settings.catch_up_age_s * 1000),
        hidden_users_max=settings.hidden_users_max,
        model_warm_ms=settings.model_warm_ms,
        model_warm_share=settings.model_warm_share,
        model_warm_s_max=settings.model_warm_s_max,
        model_shadow_share=settings.model_shadow_share,
    )

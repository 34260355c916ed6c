"""The Faust application: control plane of a worker.

Rules of the room: all of Faust's settings stand here. The app knows which topics come in chunks,
gives them to the intake through one agent, and is told of every reason to stop (`fail`).
"""

import logging
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import faust
from faust.types import TP

from stream.flow.ports import Intake, StateStore
from stream.flow.stops import WorkerStopError
from stream.settings import Settings
from stream.shell.chunk import ChunkLimits
from stream.shell.credentials import faust_credentials
from stream.shell.group import Membership, check_group_metadata
from stream.shell.recovery import ChunkTableManager
from stream.shell.table import UserTable
from stream.shell.transport import ChunkSchema, ChunkTransport

POLL_INTERVAL_S: Final = 7 * 86_400.0  # aiokafka leaves the group when nothing is fetched so long
QUEUE_CHUNKS: Final = 8  # between consumer and agent, which only hands over
REQUEST_TIMEOUT_S: Final = 30.0
HEARTBEATS: Final = 5  # in a session
PLAIN_FACTOR: Final = 8  # a chunk inflates to at most so many times the bytes fetched
BATCH_BYTES_MAX: Final = 64 << 20

log = logging.getLogger(__name__)


class ChunkApp(faust.App):  # type: ignore[misc]
    """A Faust app that reads its chunk topics in chunks. Built by `make_faust_app`."""

    chunk_topics: frozenset[str]
    chunk_limits: ChunkLimits
    fetch_wait_ms: int
    hand_over_deadline_s: float
    transaction_timeout_s: float
    store: StateStore
    intake: Intake
    table: UserTable

    def __init__(self, app_id: str, **conf: Any) -> None:
        self.chunk_topics = frozenset()
        self.failure: WorkerStopError | None = None
        self._on_fail: Callable[[WorkerStopError], None] | None = None
        super().__init__(app_id, **conf)

    def _new_transport(self) -> ChunkTransport:
        return ChunkTransport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """Create none: nothing is kept on this machine's disk."""

    # Failure

    def on_fail(self, callback: Callable[[WorkerStopError], None]) -> None:
        """Set what is told of the first failure, on the thread that met it."""
        self._on_fail = callback

    def fail(self, error: WorkerStopError) -> None:
        """Take note that the worker has to stop; any thread. Only the first one counts.

        No chunk comes any more. To end the process is the business of the callback.
        """
        if self.failure is not None:
            return
        self.failure = error
        log.critical("stopping (exit code %d): %s", error.exit_code, error)
        if self._consumer is not None:
            self.loop.call_soon_threadsafe(self._consumer.stop_flow)
        if self._on_fail is not None:
            self._on_fail(error)

    # Flow

    def hold(self, topic: str, partition: int) -> None:
        """Stop fetching a partition; any thread. Chunks already handed out still arrive."""
        self.consumer.hold([TP(topic, partition)])

    def release(self, topic: str, partition: int) -> None:
        """Fetch it again; any thread."""
        self.consumer.release([TP(topic, partition)])

    def rests(self, topic: str, partition: int, position: int, until_ms: int) -> bool:
        """Whether nothing from `position` on comes before `until_ms`; any thread."""
        rests: bool = self.consumer._thread.rests(TP(topic, partition), position, until_ms)
        return rests

    def is_held(self, topic: str, partition: int) -> bool:
        """Whether a partition is held; any thread."""
        held: bool = self.consumer._thread.is_held(TP(topic, partition))
        return held

    def membership(self) -> Membership:
        """Name this worker's place in the group; any thread.

        Raises CommitFencedError when it has none.
        """
        member: Membership = self.consumer._thread.membership()
        return member

    def lags(self) -> dict[tuple[str, int], tuple[int, int]]:
        """Give fetch position and end offset of the assigned inputs, where known; any thread."""
        thread = self.consumer._thread
        found = {(tp.topic, tp.partition): thread.lag(tp) for tp in self.consumer.inputs()}
        return {place: lag for place, lag in found.items() if lag is not None}

    def restore_remaining(self) -> Mapping[int, int]:
        """Count the changelog offsets still to read, by partition; empty when there are none."""
        remaining: Mapping[int, int] = self.tables.recovery.remaining()
        return remaining


def make_faust_app(
    settings: Settings,
    *,
    bootstrap: str,
    instance: int,
    inputs: Iterable[str],
    state_topic: str,
    store: StateStore,
    intake: Intake,
    **conf: Any,
) -> ChunkApp:
    """Build the app of worker number `instance`; `conf` overrides Faust's settings.

    inputs, state_topic: names on the broker. Raises GroupMetadataError if librdkafka changed.
    """
    check_group_metadata()
    identity = f"{settings.group}-{instance}"
    session_s = settings.session_timeout_s
    options: dict[str, Any] = {
        "broker": [f"kafka://{address}" for address in bootstrap.split(",")],
        "broker_credentials": faust_credentials(settings.security),
        "broker_client_id": identity,
        "broker_session_timeout": session_s,
        "broker_heartbeat_interval": session_s / HEARTBEATS,
        "broker_rebalance_timeout": settings.rebalance_timeout_s,
        "broker_request_timeout": max(REQUEST_TIMEOUT_S, session_s),
        "broker_max_poll_interval": POLL_INTERVAL_S,
        "broker_check_crcs": True,
        "consumer_group_instance_id": identity,
        "consumer_max_fetch_size": settings.chunk_bytes_max,
        "consumer_auto_offset_reset": "earliest",
        "stream_buffer_maxsize": QUEUE_CHUNKS,
        "stream_wait_empty": True,
        "processing_guarantee": "at_least_once",
        "producer_acks": -1,
        "producer_request_timeout": REQUEST_TIMEOUT_S,
        "table_standby_replicas": settings.standby_replicas,
        "topic_partitions": settings.partitions,
        "topic_replication_factor": settings.replication,
        "topic_allow_declare": False,
        "topic_disable_leader": True,
        "web_enabled": False,
        "canonical_url": f"http://{identity}",
        "store": "memory://",
        "autodiscover": False,
        "worker_redirect_stdouts": False,
        "TableManager": ChunkTableManager,
        **conf,
    }
    app = ChunkApp(settings.group, **options)
    app.chunk_topics = frozenset(inputs)
    plain_bytes_max = min(PLAIN_FACTOR * settings.chunk_bytes_max, settings.buffer_bytes_max)
    app.chunk_limits = ChunkLimits(plain_bytes_max, max(BATCH_BYTES_MAX, plain_bytes_max))
    app.fetch_wait_ms = settings.fetch_wait_ms
    app.hand_over_deadline_s = settings.rebalance_timeout_s / 2
    app.transaction_timeout_s = settings.transaction_timeout_s
    app.store = store
    app.intake = intake
    app.table = UserTable(
        app,
        name="users",
        changelog_topic=app.topic(
            state_topic, schema=ChunkSchema(), acks=False, partitions=settings.partitions
        ),
        store=store,
    )
    app.tables.add(app.table)
    _add_agent(app)
    return app


def _add_agent(app: ChunkApp) -> None:
    topic = app.topic(*sorted(app.chunk_topics), schema=ChunkSchema(), acks=False)
    topic.maxsize = QUEUE_CHUNKS  # App.topic drops its own argument of that name

    async def intake_chunks(stream: Any) -> None:
        async for chunk in stream:  # no await between here and the call: see ChunkConsumer
            app.intake.on_chunk(chunk)

    app.agent(topic, name="intake")(intake_chunks)

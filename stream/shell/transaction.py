"""The transactional producer: outputs, state and input offsets together, or not at all.

Rules of the room: one thread at a time. The order is start, then begin, produce..., commit, over
and over, then close. Whatever cannot be committed ends the worker by a named exception: the state
in memory is ahead of the log then, and only a restore puts it right. There is no roll-back in
place.
"""

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer, TopicPartition

from stream.connection import is_denied
from stream.flow.stops import (
    AccessRefusedError,
    CommitAbortedError,
    CommitFencedError,
    CommitLateError,
)
from stream.shell.group import Membership
from stream.shell.producer import (
    Headers,
    OnError,
    ProducerConfig,
    produce_all,
    produce_one,
    produce_texts,
)
from stream.wire.texts import Texts

CLOSE_S: Final = 5.0
RETRY_WAIT_S: Final = 0.05
# Nothing is read before the commit, whose flush waits for no linger. A short one makes small
# requests, and while five are under way librdkafka's thread looks again and again without a pause:
# 5 ms cost 2 to 4 us of processor time an event more than 50 (docs/performance.md).
LINGER_MS: Final = 50
FENCED: Final = frozenset({
    KafkaError._FENCED, KafkaError.INVALID_PRODUCER_EPOCH, KafkaError.PRODUCER_FENCED,
    KafkaError.ILLEGAL_GENERATION, KafkaError.UNKNOWN_MEMBER_ID, KafkaError.FENCED_INSTANCE_ID,
})  # fmt: skip

log = logging.getLogger(__name__)


class TransactionalProducer:
    """Commits a prefix of rows: what was produced since `begin`, and offsets.

    `transactional_id` has to be the instance's own and stable: `start` ends what a predecessor of
    the same id left open.
    """

    def __init__(
        self, config: ProducerConfig, transactional_id: str, on_error: OnError = lambda *_: None
    ) -> None:
        self._config = config
        self._on_error = on_error
        self._id = transactional_id
        self._open = False
        self._records = 0
        self._producer = Producer(
            {
                **config.librdkafka(),
                "linger.ms": LINGER_MS,
                "transactional.id": transactional_id,
                "transaction.timeout.ms": int(config.transaction_timeout_s * 1000),
            },
            logger=log,
        )

    @property
    def in_transaction(self) -> bool:
        """Whether `begin` was called and nothing has ended it."""
        return self._open

    @property
    def records_count(self) -> int:
        """Records produced in this transaction."""
        return self._records

    def start(self) -> None:
        """Take the id over, ending a predecessor's transaction. Before Faust starts.

        Raises CommitFencedError, CommitLateError after `start_deadline_s`, CommitAbortedError,
        AccessRefusedError.
        """
        deadline = time.monotonic() + self._config.start_deadline_s
        self._retry("init_transactions", self._producer.init_transactions, deadline)

    def begin(self) -> None:
        """Open a transaction; nothing is sent yet."""
        self._producer.begin_transaction()
        self._open = True
        self._records = 0

    def produce(
        self,
        topic: str,
        partition: int,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        headers: Headers | None = None,
    ) -> None:
        """Queue records for one partition, in order. A value of None is a tombstone.

        Without headers about 0.2 us a record, with headers 1.5. Raises TooLargeError before
        anything is queued; CommitLateError, CommitAbortedError or CommitFencedError at the end.
        """
        config = self._config
        try:
            if headers is None:
                produce_texts(
                    self._producer, topic, partition, Texts.of(keys), Texts.of(values),
                    message_bytes_max=config.message_bytes_max,
                    deadline_s=config.commit_deadline_s, on_error=self._on_error,
                )  # fmt: skip
            else:
                produce_all(
                    self._producer, topic, partition, keys, values, headers,
                    message_bytes_max=config.message_bytes_max,
                    deadline_s=config.commit_deadline_s, on_error=self._on_error,
                )  # fmt: skip
        except KafkaException as error:
            raise self._named("produce", error) from error
        self._records += len(keys)

    def produce_header(
        self, topic: str, partition: int, key: bytes, value: bytes,
        delivered: Callable[[int, int], None],
    ) -> None:  # fmt: skip
        """Queue the last state record of a partition; `delivered(partition, offset)` is called.

        It is called during a later `produce` or `commit`, on their thread, before commit returns.
        """

        def on_delivery(error: KafkaError | None, message: Any) -> None:
            if error is None:
                delivered(partition, message.offset())

        deadline = time.monotonic() + self._config.commit_deadline_s
        try:
            produce_one(
                self._producer, topic, partition, key, value,
                on_delivery=on_delivery, deadline=deadline,
            )  # fmt: skip
        except KafkaException as error:
            raise self._named("produce", error) from error
        self._records += 1

    def commit(self, offsets: Mapping[tuple[str, int], int], membership: Membership) -> None:
        """Commit: flush, add the offsets, end the transaction.

        offsets: next offset to read, by (topic, partition); name every input topic of a partition.
        Raises CommitLateError, CommitFencedError, CommitAbortedError: exit then.
        """
        deadline = time.monotonic() + self._config.commit_deadline_s
        metadata = membership.checked().serialised()
        # Records first: offsets that the broker has taken must not be ahead of rows still here.
        left = self._producer.flush(self._config.commit_deadline_s)
        if left:
            raise CommitLateError(
                f"{left} of {self._records} records not written after"
                f" {self._config.commit_deadline_s} s"
            )
        if offsets:
            positions = [TopicPartition(*place, offset) for place, offset in offsets.items()]
            self._retry(
                "send_offsets",
                lambda left_s: self._producer.send_offsets_to_transaction(
                    positions, metadata, left_s
                ),
                deadline,
            )
        self._retry("commit_transaction", self._producer.commit_transaction, deadline)
        self._open = False

    def close(self) -> None:
        """Abort what is open, if the broker lets itself be reached, and let go."""
        try:
            if self._open:
                self._open = False
                self._producer.abort_transaction(CLOSE_S)
            self._producer.close()
        except KafkaException as error:
            log.warning("transaction %s not aborted: %s", self._id, error)

    def _retry(self, what: str, call: Callable[[float], Any], deadline: float) -> None:
        while True:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise CommitLateError(f"{what} of {self._id} not done at its deadline")
            try:
                call(left_s)
            except KafkaException as error:
                cause = error.args[0]
                if not cause.retriable() or cause.fatal() or cause.txn_requires_abort():
                    raise self._named(what, error) from error
                log.info("%s of %s: %s, trying again", what, self._id, cause)
                time.sleep(RETRY_WAIT_S)
            else:
                return

    def _named(self, what: str, error: KafkaException) -> Exception:
        cause = error.args[0]
        message = f"{what} of {self._id}: {cause.name()}: {cause.str()}"
        if is_denied(cause):
            return AccessRefusedError(
                f"{message}; `forecart topics acls worker` names the rights that a worker needs"
            )
        if cause.code() in FENCED:
            return CommitFencedError(message)
        if cause.code() == KafkaError._TIMED_OUT:
            return CommitLateError(message)
        return CommitAbortedError(message)

"""The direct producer: outputs that leave at once, outside the transaction (at_least_once).

Rules of the room: idempotent and acknowledged by all; one thread at a time. Before the transaction
that covers their rows is committed, `confirm` has to say that they are written.
"""

import logging
import time
from collections.abc import Sequence
from typing import Any, Final

from confluent_kafka import KafkaError, KafkaException, Producer

from stream.connection import IDEMPOTENT
from stream.flow.stops import DeliveryError
from stream.shell.producer import (
    Headers,
    OnError,
    ProducerConfig,
    produce_all,
    reason_of,
)

CLOSE_S: Final = 5.0

log = logging.getLogger(__name__)


class DirectProducer:
    """Sends records and tells when all of them are written."""

    def __init__(self, config: ProducerConfig, on_error: OnError = lambda *_: None) -> None:
        self._config = config
        self._on_error = on_error
        self._failed: str | None = None
        self._producer = Producer(
            {
                **config.librdkafka(),
                **IDEMPOTENT,
                # A report per record would cost more than the record.
                "delivery.report.only.error": True,
                "on_delivery": self._on_failed,
                "message.timeout.ms": int(config.commit_deadline_s * 1000),
            },
            logger=log,
        )

    def produce(
        self,
        topic: str,
        partition: int,
        keys: Sequence[bytes | None],
        values: Sequence[bytes | None],
        headers: Headers | None = None,
    ) -> None:
        """Queue records for one partition, in order; they leave after `linger_ms`.

        Raises TooLargeError before anything is queued, DeliveryError.
        """
        try:
            produce_all(
                self._producer, topic, partition, keys, values, headers,
                message_bytes_max=self._config.message_bytes_max,
                deadline_s=self._config.commit_deadline_s,
                on_error=self._on_error,
            )  # fmt: skip
        except KafkaException as error:
            raise DeliveryError(f"produce to {topic}: {error.args[0].str()}") from error
        self._check()

    def poll(self) -> None:
        """Serve delivery reports; call it now and then while nothing is produced."""
        self._producer.poll(0)
        self._check()

    def confirm(self) -> None:
        """Wait until everything produced is written. Raises DeliveryError."""
        began = time.monotonic()
        left = self._producer.flush(self._config.commit_deadline_s)
        self._check()
        if left:
            raise DeliveryError(
                f"{left} output records not written after {time.monotonic() - began:.1f} s"
            )

    def close(self) -> None:
        """Send what is left, if that is quick, and let go."""
        left = self._producer.flush(CLOSE_S)
        if left:
            log.warning("%d output records were not written", left)
        self._producer.close()

    def _on_failed(self, error: KafkaError | None, message: Any) -> None:
        if error is None:
            return
        self._on_error(message.topic(), reason_of(error))
        if self._failed is None:
            self._failed = f"record for {message.topic()}[{message.partition()}]: {error.str()}"

    def _check(self) -> None:
        if self._failed is not None:
            raise DeliveryError(self._failed)

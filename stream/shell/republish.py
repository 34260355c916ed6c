"""Put records back on a topic, as they were, and know that each arrived.

Rules of the room: the partition is murmur2 of the key, as for every producer of events; a record
that is not acknowledged makes the whole run fail, with its count.
"""

from typing import Any

from confluent_kafka import KafkaError, KafkaException, Producer

from stream.connection import IDEMPOTENT, OPEN, BrokerError, Complaints, made, options
from stream.security import Security
from stream.shell.reader import quiet_logger

RECORD_BYTES_MAX = 8 << 20
DELIVERY_S = 30.0


class Republisher:
    """An idempotent producer. Call `close` and believe only what it returns."""

    def __init__(self, bootstrap: str, security: Security = OPEN) -> None:
        """Prepare; nothing is connected yet."""
        self._bootstrap = bootstrap
        self._arrived = 0
        self._failed = 0
        self._complaints = Complaints()
        self._producer = made(
            Producer,
            {
                **options(bootstrap, security),
                **IDEMPOTENT,
                "partitioner": "murmur2_random",
                "message.max.bytes": RECORD_BYTES_MAX,
                "message.timeout.ms": int(DELIVERY_S * 1000),
                "linger.ms": 5,
                "error_cb": self._complaints,
            },
            logger=quiet_logger(),
        )

    def send(
        self, topic: str, key: bytes, value: bytes | None, headers: list[tuple[str, bytes]]
    ) -> None:
        """Put one record on its way; waits while too many are."""
        while True:
            try:
                self._producer.produce(
                    topic, value=value, key=key, headers=headers, on_delivery=self._delivered
                )
            except BufferError:
                self._producer.poll(0.1)
            except KafkaException as error:
                self._count_failure(error.args[0])
                return
            else:
                self._producer.poll(0)
                return

    def close(self) -> int:
        """Wait for the acknowledgements; returns how many. Raises BrokerError."""
        left = self._producer.flush(DELIVERY_S + 5)
        if left or self._failed:
            raise BrokerError(
                f"{self._arrived} records arrived at {self._bootstrap}, {self._failed + left} did"
                f" not: {self._complaints.text or 'no answer'}"
            )
        return self._arrived

    def _delivered(self, error: KafkaError | None, _message: Any) -> None:
        if error is None:
            self._arrived += 1
        else:
            self._count_failure(error)

    def _count_failure(self, error: KafkaError) -> None:
        self._failed += 1
        self._complaints.text = error.str()

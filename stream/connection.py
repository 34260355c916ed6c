"""How a client of librdkafka connects: its options, and a first answer within a deadline.

Rules of the room: every producer, consumer and admin client takes `options` and remembers
complaints in `Complaints`; who is refused hears of it at once, who gets no answer at the deadline,
both in one line that names the cure. No secret in a message.
"""

import time
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol, TypeVar

from confluent_kafka import KafkaError, KafkaException

from stream.security import Security

REACH_S: Final = 5.0  # to get a first answer from the broker
ASK_S: Final = 0.25  # between two looks at what librdkafka complains of
OPEN: Final = Security()
# Of a producer that keeps the order and repeats nothing, without transactions. One request at a
# time: on a partition that was just made, a broker may refuse the first request (not the leader
# yet) and take the second, whatever its sequence number; the first, sent again, is then taken for
# a duplicate, and its records are lost in silence (KAFKA-15591, Kafka 4.3.1, librdkafka 2.16.1).
IDEMPOTENT: Final[Mapping[str, Any]] = {
    "enable.idempotence": True, "acks": "all", "max.in.flight.requests.per.connection": 1,
}  # fmt: skip

_UNKNOWN_USER: Final = KafkaError._AUTHENTICATION  # noqa: SLF001 librdkafka's codes have no other
_ALL_DOWN: Final = KafkaError._ALL_BROKERS_DOWN  # noqa: SLF001
_NO_TLS: Final = KafkaError._SSL  # noqa: SLF001
# librdkafka's words where it knows only that the other end hung up.
_MISMATCH: Final = (
    "security.protocol", "PLAINTEXT broker listener", "alert certificate required", "Broken pipe",
)  # fmt: skip
_DENIED: Final = frozenset({
    KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.GROUP_AUTHORIZATION_FAILED,
    KafkaError.CLUSTER_AUTHORIZATION_FAILED, KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED,
})  # fmt: skip


class BrokerError(ConnectionError):
    """Nobody answers at the broker's address, or it does not have what is asked."""

    def __init__(self, said: str, cure: str = "") -> None:
        super().__init__(f"{said}: {cure}" if cure else said)
        self.said = said


class AccessError(BrokerError):
    """The broker answers, and does not let us in, or not do what is asked."""


C = TypeVar("C")


class Client(Protocol):
    """What every client of confluent-kafka can do."""

    def list_topics(self, *, timeout: float) -> Any:
        """Ask for the cluster's metadata."""

    def poll(self, timeout: float, /) -> Any:
        """Serve callbacks."""


class Complaints:
    """An `error_cb`: what librdkafka complained of last, and whether it will ever get better."""

    def __init__(self) -> None:
        self.text = ""
        self.refused = ""  # why the broker does not let us in; empty: it may yet answer
        self.mismatch = False  # the two ends seem to speak another protocol

    def __call__(self, error: KafkaError) -> None:
        """Take a complaint."""
        code = error.code()
        if code == _ALL_DOWN:  # what follows from a complaint; alone: nobody refused to listen
            self.mismatch |= not self.text
            self.text = self.text or "it takes the connection and hangs up"
            return
        self.text = cause_of(error)
        if code == _UNKNOWN_USER:
            self.refused = f"it does not know this name and password: {self.text}"
        elif code == _NO_TLS:
            self.refused = f"no TLS with it: {self.text}"
        self.mismatch |= any(words in self.text for words in _MISMATCH)


def options(bootstrap: str, security: Security) -> dict[str, Any]:
    """Name address and security as librdkafka does."""
    given: dict[str, Any] = {"bootstrap.servers": bootstrap}
    if security != OPEN:
        named = {
            "security.protocol": security.protocol,
            "sasl.mechanisms": security.mechanism,
            "sasl.username": security.username,
            "sasl.password": security.password,
            "ssl.ca.location": security.ca_file,
            "ssl.certificate.location": security.certificate_file,
            "ssl.key.location": security.key_file,
            "ssl.key.password": security.key_password,
        }
        given |= {name: value for name, value in named.items() if value}
    return given


def made(kind: Callable[..., C], given: Mapping[str, Any], **more: Any) -> C:
    """Construct a client. Raises AccessError where the certificates or the key cannot be used."""
    try:
        return kind(dict(given), **more)
    except KafkaException as error:
        raise AccessError(f"the security settings cannot be used: {error.args[0].str()}") from error


def reach(client: Client, complaints: Complaints, bootstrap: str, reach_s: float = REACH_S) -> Any:
    """Ask for the cluster's metadata. Raises AccessError at once, BrokerError at the deadline."""
    deadline = time.monotonic() + reach_s
    while True:
        left_s = deadline - time.monotonic()
        try:
            return client.list_topics(timeout=max(min(ASK_S, left_s), 0.01))
        except KafkaException as error:
            client.poll(0)
            if complaints.refused:
                raise AccessError(
                    f"Kafka at {bootstrap} does not let us in: {complaints.refused}"
                ) from error
            if left_s > ASK_S:
                continue
            if complaints.mismatch:
                raise BrokerError(  # a proxy without its broker hangs up too: it may yet answer
                    f"no Kafka answers at {bootstrap} within {reach_s:.0f} s: {complaints.text};"
                    " is security_protocol what this address wants?"
                ) from error
            raise unreachable(bootstrap, reach_s, complaints.text) from error


def is_denied(error: KafkaError) -> bool:
    """Whether an authorizer said no."""
    return error.code() in _DENIED


def refusal(bootstrap: str, error: KafkaError) -> BrokerError:
    """Turn an error of a request into one line."""
    text: str = error.str()
    if is_denied(error):
        return AccessError(
            f"Kafka at {bootstrap} does not allow it: {text}; `forecart topics acls` names the"
            " rights that each role needs"
        )
    return BrokerError(f"Kafka at {bootstrap} refuses: {text}")


def cause_of(error: KafkaError) -> str:
    """Take the words for a person out of librdkafka's `host:port/id: words (after 0ms in ...)`."""
    text: str = error.str()
    said = text.partition(" (after ")[0]
    return said.rpartition("/bootstrap: ")[2]


def unreachable(bootstrap: str, reach_s: float, cause: str) -> BrokerError:
    """Say in one line that nobody answers, and what to do."""
    because = f" ({cause})" if cause else ""
    return BrokerError(
        f"no Kafka answers at {bootstrap} within {reach_s:.0f} s{because}",
        "start the embedded one with `forecart kafka up`, or name another with --broker",
    )

"""The books at every commit: what one transaction holds belongs together, and follows the last.

Asked at the moment at which the broker decides a commit, whoever has sent it.
"""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

import msgspec

from stream.core.layout import TOPICS
from stream.wire.state import HEADER_KEY, Header, decode_header
from stream.wire.topics import DEAD_LETTERS, PREDICTIONS, RECEIPTS, STATE
from stream.wire.types import IntakeReceipt
from tests.sim.broker import GROUP, Broker, Transactions
from tests.sim.group import Place
from tests.sim.partition_log import OPEN, READABLE, Entry
from tests.sim.tenure import Tenure

_read_receipt = msgspec.json.Decoder(IntakeReceipt).decode


@dataclass(slots=True)
class Ledger:
    """Collects what is wrong; `problems` is to stay empty.

    `tenures`: by partition number, whose commit ended at a partition_seq.
    """

    broker: Broker
    direct: bool  # outputs are not in the transactions
    problems: list[str] = field(default_factory=list)
    commits: int = 0
    tenure_of: Callable[[Transactions, int], Tenure | None] = lambda *_: None
    tenures: dict[int, dict[int, Tenure]] = field(default_factory=lambda: defaultdict(dict))
    _headers: dict[int, Header] = field(default_factory=dict)

    def decided(self, known: Transactions, offsets: dict[Place, int]) -> None:
        """Check a transaction that is committed from here on."""
        self.commits += 1
        held: dict[Place, list[Entry]] = {
            place: self._of(known, place) for place in known.markers if place != GROUP
        }
        numbers = sorted({number for _, number in held} | {number for _, number in offsets})
        for number in numbers:
            self._check(known, number, held, offsets)

    def _of(self, known: Transactions, place: Place) -> list[Entry]:
        found = []
        for entry in reversed(self.broker.logs[place].entries):
            if entry.state == OPEN and entry.producer == known.producer:
                found.append(entry)
            elif entry.producer == known.producer:
                break  # an earlier transaction of the same producer
        return found[::-1]

    def _check(
        self,
        known: Transactions,
        number: int,
        held: dict[Place, list[Entry]],
        offsets: dict[Place, int],
    ) -> None:
        name = f"commit {self.commits} of {known.id}, partition {number}"
        headers = [e for e in held.get((STATE, number), ()) if e.key == HEADER_KEY]
        if len(headers) != 1 or headers[0].value is None:
            self.problems.append(f"{name}: {len(headers)} headers")
            return
        header = decode_header(headers[0].value)
        before = self._headers.get(number)
        self._headers[number] = header
        tenure = self.tenure_of(known, number)
        if tenure is not None:
            self.tenures[number][header.partition_seq] = tenure
        told = {topic: offsets.get((topic, number)) for topic in TOPICS}
        if told != header.offset_next:
            self.problems.append(f"{name}: offsets {told}, header {header.offset_next}")
        rows = predicted = dead = 0
        at = dict.fromkeys(TOPICS, 0) if before is None else dict(before.offset_next)
        for entry in held.get((RECEIPTS, number), ()):
            receipt = _read_receipt(entry.value or b"")
            if receipt.offset_first != at[receipt.topic]:
                self.problems.append(
                    f"{name}: receipt of {receipt.topic} from {receipt.offset_first}, the one"
                    f" before ends at {at[receipt.topic]}"
                )
            at[receipt.topic] = receipt.offset_next
            count = receipt.predicted + len(receipt.exceptions)
            there = self._count((receipt.topic, number), receipt.offset_first, receipt.offset_next)
            if count != there:
                self.problems.append(
                    f"{name}: receipt of {receipt.topic} {receipt.offset_first} to"
                    f" {receipt.offset_next - 1} counts {count} rows, the log holds {there}"
                )
            rows += count
            predicted += receipt.predicted
            dead += sum(entry[1] == "dead_lettered" for entry in receipt.exceptions)
        if at != header.offset_next:
            self.problems.append(f"{name}: receipts end at {at}, header {header.offset_next}")
        moved = header.partition_seq - (0 if before is None else before.partition_seq)
        if moved != rows:
            self.problems.append(f"{name}: partition_seq moves by {moved}, receipts by {rows}")
        if not self.direct:
            self._check_outputs(name, held, number, predicted, dead)

    def _check_outputs(
        self, name: str, held: dict[Place, list[Entry]], number: int, predicted: int, dead: int
    ) -> None:
        for topic, wanted in ((PREDICTIONS, predicted), (DEAD_LETTERS, dead)):
            found = len(held.get((topic, number), ()))
            if found != wanted:
                self.problems.append(f"{name}: {found} {topic}, receipts say {wanted}")

    def _count(self, place: Place, first: int, end: int) -> int:
        entries = self.broker.logs[place].entries
        return sum(first <= e.offset < end and e.state in READABLE for e in entries)

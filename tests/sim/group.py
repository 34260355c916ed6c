"""The group coordinator: members, generations, assignment, offsets (also of transactions).

Rebalances are eager, as Faust's: everybody hands over and joins again, or is left out. Members are
static: a new process of an instance takes its place in the same generation (KIP-345).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from tests.sim.refusal import FENCED, STALE_GENERATION, UNKNOWN_MEMBER, UNSTABLE, Refusal

Place = tuple[str, int]


@dataclass(slots=True)
class Member:
    """One process in the group."""

    id: str
    instance: str
    joined: bool = True  # of the generation to come, while the group is preparing one
    partitions: list[int] = field(default_factory=list)


class Group:
    """One consumer group over topics that are co-partitioned."""

    def __init__(self, partitions: int) -> None:
        self.generation = 0
        self.preparing = False  # a rebalance is under way
        self.committed: dict[Place, int] = {}
        self.members: dict[str, Member] = {}  # by instance
        self._partitions = partitions
        self._pending: dict[str, dict[Place, int]] = {}  # transactional id -> offsets
        self._ids = 0

    # -- membership

    def join(self, instance: str) -> Member:
        """Join as a new process of an instance; takes a predecessor's place without a rebalance."""
        self._ids += 1
        member = Member(f"{instance}#{self._ids}", instance)
        before = self.members.get(instance)
        self.members[instance] = member
        if before is None:
            self.prepare()
            member.joined = True
        else:
            member.partitions = before.partitions
        self._complete()
        return member

    def prepare(self) -> None:
        """Begin a rebalance: every member has to hand over and join again."""
        if not self.preparing:
            self.preparing = True
            for member in self.members.values():
                member.joined = False

    def rejoin(self, member: Member) -> None:
        """Join the generation to come. Raises Refusal if the member is none any more."""
        self.check_member(member.id)
        member.joined = True
        self._complete()

    def leave(self, instance: str) -> None:
        """Remove a member, whether it left or its session is over."""
        if self.members.pop(instance, None) is not None:
            self.prepare()
            self._complete()

    def leave_out(self) -> None:
        """Go on without those that did not join in time."""
        if self.preparing:
            for instance in [i for i, member in self.members.items() if not member.joined]:
                del self.members[instance]
            self._complete()

    def _complete(self) -> None:
        if not self.preparing or not all(member.joined for member in self.members.values()):
            return
        self.preparing = False
        self.generation += 1
        members = list(self.members.values())
        for index, member in enumerate(members):
            # Another generation may give a partition to another member.
            turn = (index + self.generation) % len(members)
            member.partitions = list(range(turn, self._partitions, len(members)))

    # -- offsets

    def check(self, generation: int, member_id: str) -> None:
        """Refuse whoever is not a member of the present generation."""
        self.check_member(member_id)
        if generation != self.generation:
            raise Refusal(STALE_GENERATION, f"{generation}, it is {self.generation}")

    def check_member(self, member_id: str) -> None:
        """Refuse whoever is not a member."""
        instance = member_id.partition("#")[0]
        member = self.members.get(instance)
        if member is None:
            raise Refusal(UNKNOWN_MEMBER, member_id)
        if member.id != member_id:
            raise Refusal(FENCED, f"{member_id}: {member.id} is this instance now")

    def add_pending(
        self, transactional_id: str, offsets: Mapping[Place, int], generation: int, member_id: str
    ) -> None:
        """Take a transaction's offsets; they count when its marker comes."""
        self.check(generation, member_id)
        self._pending.setdefault(transactional_id, {}).update(offsets)

    def mark(self, transactional_id: str, *, commit: bool) -> None:
        """End a transaction here."""
        offsets = self._pending.pop(transactional_id, {})
        if commit:
            self.committed.update(offsets)

    def stable(self, places: list[Place]) -> dict[Place, int]:
        """Give committed offsets. Raises Refusal while a transaction's are pending (KIP-447)."""
        for offsets in self._pending.values():
            for place in places:
                if place in offsets:
                    raise Refusal(UNSTABLE, f"{place}")
        return {place: self.committed[place] for place in places if place in self.committed}

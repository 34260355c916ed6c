"""The engine of one partition number, one row at a time, as docs/engine.md says it.

Rules of the room: the code follows the document's order and words; where the document leaves
something open the choice is marked `Choice:`.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from hashlib import blake2b
from itertools import pairwise

from stream.core.config import EngineConfig
from stream.core.layout import (
    ALWAYS_LATER_MS,
    AlertState,
    Flag,
    Level,
    Outcome,
    Reason,
    Resolve,
    type_of,
)
from tests.oracle.churn import Survival
from tests.oracle.clock import Clock
from tests.oracle.features import count_event, head_of
from tests.oracle.records import Alert, Answer, Dropped, Effect, Event, Row, Step, Swept, User

# (scored steps with gaps, context, recent items) -> answer
ScoreWindow = Callable[
    [Sequence[tuple[Step, int]], tuple[int, int, int], frozenset[int]],
    Answer,
]


class OracleEngine:
    """All state of a partition; `apply` is the only door."""

    def __init__(self, config: EngineConfig, partition: int, score: ScoreWindow) -> None:
        self.config = config
        self.partition = partition
        self.score = score
        self.clock = Clock(config)
        self.users: dict[bytes, User] = {}
        self.forgotten: dict[bytes, int] = {}  # user -> F, in order of arrival
        self.partition_seq = 0
        self.outcomes: Counter[Outcome] = Counter()
        self.offset_next: dict[int, int] = {}
        self.touched: set[bytes] = set()  # since the last call of `changes`
        self.effects: list[Effect] = []

    def apply(self, event: Event) -> list[Effect]:
        """Apply one row; return what happened, in order, the row itself last."""
        self.effects = []
        self.partition_seq += 1
        self.offset_next[event.topic] = event.offset + 1
        row = self._refused(event)
        if row is None:
            self._move_clocks(event)
            row = self._forget(event) if _is_forget(event) else self._predict(event)
        self.outcomes[row.outcome] += 1
        self.effects.append(row)
        return self.effects

    def changes(self) -> dict[bytes, User | None]:
        """Return the users touched since the last call; None: a tombstone."""
        touched, self.touched = self.touched, set()
        return {key: self.users.get(key) for key in sorted(touched)}

    # Steps 1, 2, 4, 5 and 6: rows that touch nothing.
    def _refused(self, event: Event) -> Row | None:
        if event.reason:
            return self._row(event, Outcome.DEAD_LETTERED, reason=Reason(event.reason))
        if event.time_ms - event.timestamp_ms > self.config.future_ms_max:
            return self._row(event, Outcome.DEAD_LETTERED, reason=Reason.FROM_FUTURE)
        if _is_forget(event):
            return None
        key = _key_of(event)
        if key in self.forgotten and event.time_ms <= self.forgotten[key]:
            return self._row(event, Outcome.FORGOTTEN)
        ring = self.users[key].ring if key in self.users else []
        for step in ring:
            if step.event_id == event.event_id:
                return self._row(event, Outcome.DUPLICATE, source_first=step.source)
        if len(ring) == self.config.window_steps and event.time_ms < ring[0].time_ms:
            return self._row(event, Outcome.DEAD_LETTERED, reason=Reason.TOO_LATE)
        return None

    def _row(
        self, event: Event, outcome: Outcome, reason: Reason = Reason.NONE, source_first: int = -1
    ) -> Row:
        return Row(
            partition_seq=self.partition_seq,
            topic=event.topic,
            offset=event.offset,
            event_time_ms=event.time_ms,
            user=event.user,
            outcome=outcome,
            reason=reason,
            source_first=source_first,
        )

    # Step 7.
    def _move_clocks(self, event: Event) -> None:
        user = self.users.get(_key_of(event))
        epoch = self.partition_seq if user is None else user.epoch
        if user is None and event.flags & Flag.CONTROL_FORGET:
            epoch = None  # no witness
        target_ms = self.clock.hear(epoch, event.time_ms)
        if target_ms is None:
            return
        for end_ms in self.clock.advance(target_ms):
            self._sweep(end_ms)
        self._let_go_of_the_forgotten()

    def _sweep(self, end_ms: int) -> None:
        due = [user for user in self.users.values() if user.next_check_ms <= end_ms]
        due.sort(key=lambda user: (user.next_check_ms, user.seq_last))
        self.effects.append(Swept(end_ms, tuple(user.key for user in due)))
        for user in due:
            silence_ms = end_ms - user.shop_last_ms
            if silence_ms >= self.config.user_ttl_ms:
                self._drop(user, "expired", Resolve.EXPIRED, by_sweep=True)
                continue
            self._judge(user, by_sweep=True)
            fired_for_ms = end_ms - user.fired_shop_ms
            if (
                user.alert_state == AlertState.FIRING
                and fired_for_ms >= self.config.churn_horizon_ms
            ):
                self._publish(user, AlertState.CHURNED, Resolve.NONE, by_sweep=True)
            self._plan_check(user)
            self.touched.add(user.key)

    # Step 3.
    def _forget(self, event: Event) -> Row:
        # Choice: the clocks have moved before, so a sweep that is due sees the user once more.
        key = _key_of(event)
        if key in self.users:
            self._drop(self.users[key], "forgotten", Resolve.FORGOTTEN, by_sweep=False)
        # Choice: of two forget times the later counts; a renewed entry is as young as its time.
        self.forgotten[key] = max(event.time_ms, self.forgotten.get(key, event.time_ms))
        self._let_go_of_the_forgotten()
        return self._row(event, Outcome.CONTROL)

    def _let_go_of_the_forgotten(self) -> None:
        # Choice: an entry goes when the watermark reaches F + forget_keep_ms; beyond
        # forgotten_max the lowest F goes first, of equal ones the lowest hash.
        watermark_ms = self._watermark_ms()
        keep_ms = self.config.forget_keep_ms
        self.forgotten = {
            key: time_ms
            for key, time_ms in self.forgotten.items()
            if watermark_ms < time_ms + keep_ms
        }
        while len(self.forgotten) > self.config.forgotten_max:
            times = [(time_ms, self.name_of(key), key) for key, time_ms in self.forgotten.items()]
            del self.forgotten[min(times)[2]]

    def name_of(self, key: bytes) -> bytes:
        """Return the keyed hash by which a forgotten user is remembered."""
        return blake2b(key, key=self.config.hash_key, digest_size=16).digest()

    # Steps 8 to 13.
    def _predict(self, event: Event) -> Row:
        key = _key_of(event)
        user = self.users.get(key)
        created = user is None
        if user is None:
            if len(self.users) >= self.config.users_max:
                victim = min(self.users.values(), key=lambda user: user.seq_last)
                self._drop(victim, "evicted", Resolve.EXPIRED, by_sweep=False)
            user = self.users[key] = User(key, epoch=self.partition_seq)
        self.touched.add(key)
        for step in event.steps:
            self._insert(user, step)
        late = not created and event.time_ms < user.time_last_ms
        newer = created or event.time_ms > user.time_last_ms
        supersedes = user.source_last if late else -1
        user.revision += late
        silence_before_ms = self.clock.shop_ms - user.shop_last_ms
        self._note(user, event, created=created, newer=newer)
        user.answer = self.score(
            scored_steps(user.ring, user.steps_count, self.config.refresh_steps),
            (user.channel, user.device, user.region),
            self._recent(user),
        )
        self._react(user, event, newer=newer, silence_before_ms=silence_before_ms)
        return self._predicted_row(user, event, late=late, supersedes=supersedes)

    def _predicted_row(self, user: User, event: Event, *, late: bool, supersedes: int) -> Row:
        return Row(
            partition_seq=self.partition_seq,
            topic=event.topic,
            offset=event.offset,
            event_time_ms=event.time_ms,
            user=event.user,
            outcome=Outcome.PREDICTED,
            as_of_ms=user.time_last_ms,
            user_seq=user.user_seq,
            user_epoch=user.epoch,
            supersedes=supersedes,
            revision=user.revision,
            late=late,
            window=tuple(user.ring),
            scored_steps=scored_steps(user.ring, user.steps_count, self.config.refresh_steps),
            head=head_of(user),
            context=(user.channel, user.device, user.region),
            recent=self._recent(user),
            answer=user.answer,
            churn=user.churn,
        )

    def _insert(self, user: User, step: Step) -> None:
        user.steps_count += 1
        full = len(user.ring) == self.config.window_steps
        if full and step.time_ms < user.ring[0].time_ms:
            return  # it would itself be the oldest
        if full:
            del user.ring[0]
        place = 0
        while place < len(user.ring) and user.ring[place].time_ms <= step.time_ms:
            place += 1
        user.ring.insert(place, step)

    def _note(self, user: User, event: Event, *, created: bool, newer: bool) -> None:
        user.type_time_ms[event.event_type] = max(
            user.type_time_ms[event.event_type], event.time_ms
        )
        user.time_last_ms = max(user.time_last_ms, event.time_ms)
        count_event(user, event.event_type, event.time_ms)
        user.channel = event.channel or user.channel
        user.device = event.device or user.device
        user.region = event.region or user.region
        if newer:
            shop_ms = self.clock.shop_ms - max(0, self._watermark_ms() - event.time_ms)
            # Choice: a new user has no former one, so it may start before the shop clock's 0.
            user.shop_last_ms = shop_ms if created else max(shop_ms, user.shop_last_ms)
        user.user_seq += 1
        user.seq_last = self.partition_seq
        user.source_last = event.source

    def _recent(self, user: User) -> frozenset[int]:
        if not self.config.exclude_recent:
            return frozenset()
        return frozenset(step.item for step in user.ring if step.item)

    # Churn, at an event.
    def _react(self, user: User, event: Event, *, newer: bool, silence_before_ms: int) -> None:
        if newer and user.alert_state == AlertState.CHURNED:
            self._end_episode(user)
        if newer and user.alert_state == AlertState.FIRING:
            if event.time_ms <= user.fired_ms:
                reason = Resolve.LATE_ACTIVITY
            elif event.event_type == type_of["purchase"]:
                reason = Resolve.PURCHASED
            else:
                reason = Resolve.RETURNED
            # Choice: the alert tells the silence that ended and the probability from now on.
            user.churn = self._churn(user)
            self._publish(
                user, AlertState.RESOLVED, reason, by_sweep=False, silence_ms=silence_before_ms
            )
        self._judge(user, by_sweep=False)
        self._plan_check(user)

    # Churn, at an event or a check.
    def _judge(self, user: User, *, by_sweep: bool) -> None:
        churn = user.churn = self._churn(user)
        if churn is None:
            return
        if user.alert_state == AlertState.RESOLVED and churn <= self.config.churn_leave:
            self._end_episode(user)
        if user.alert_state == AlertState.NORMAL and churn >= self.config.churn_enter:
            high = churn >= self.config.churn_high
            user.alert_level = Level.HIGH_RISK if high else Level.AT_RISK
            user.silence_start_ms = user.time_last_ms
            user.fired_ms = self._watermark_ms()
            user.fired_shop_ms = self.clock.shop_ms
            self._publish(user, AlertState.FIRING, Resolve.NONE, by_sweep=by_sweep)

    def _end_episode(self, user: User) -> None:
        user.alert_state = AlertState.NORMAL
        user.alert_level = Level.NONE

    def _survival(self, user: User) -> Survival | None:
        if user.answer is None or user.steps_count < self.config.churn_events_min:
            return None
        config = self.config
        return Survival(user.answer.hazard, config.hazard_edges_ms, config.churn_horizon_ms)

    def _churn(self, user: User) -> float | None:
        survival = self._survival(user)
        if survival is None:
            return None
        return survival.churn(self.clock.shop_ms - user.shop_last_ms)

    def _plan_check(self, user: User) -> None:
        checks = [user.shop_last_ms + self.config.user_ttl_ms]
        survival = self._survival(user)
        silence_ms = self.clock.shop_ms - user.shop_last_ms
        crossing: int | None = None
        if survival and user.alert_state == AlertState.NORMAL:
            crossing = survival.first(silence_ms, lambda p: p >= self.config.churn_enter)
        elif survival and user.alert_state == AlertState.RESOLVED:
            crossing = survival.first(silence_ms, lambda p: p <= self.config.churn_leave)
        elif user.alert_state == AlertState.FIRING:
            checks.append(user.fired_shop_ms + self.config.churn_horizon_ms)
        if crossing is not None:
            checks.append(user.shop_last_ms + crossing)
        user.next_check_ms = min(*checks, ALWAYS_LATER_MS)

    def _publish(
        self,
        user: User,
        state: AlertState,
        reason: Resolve,
        *,
        by_sweep: bool,
        silence_ms: int | None = None,
    ) -> None:
        previous, user.alert_state, user.alert_reason = user.alert_state, state, reason
        user.alert_sequence += 1
        if silence_ms is None:
            silence_ms = self.clock.shop_ms - user.shop_last_ms
        self.effects.append(
            Alert(
                user=user.key,
                partition_seq=self.partition_seq - by_sweep,
                user_epoch=user.epoch,
                at_ms=self._watermark_ms(),
                silence_start_ms=user.silence_start_ms,
                fired_ms=user.fired_ms,
                silence_ms=silence_ms,
                churn=user.churn,
                sequence=user.alert_sequence,
                state=state,
                previous_state=previous,
                level=user.alert_level,
                reason=reason,
                by_sweep=by_sweep,
            )
        )

    def _drop(self, user: User, why: str, reason: Resolve, *, by_sweep: bool) -> None:
        # Choice: only a FIRING alert is open. It closes with the churn kept, nothing is computed.
        if user.alert_state == AlertState.FIRING:
            self._publish(user, AlertState.RESOLVED, reason, by_sweep=by_sweep)
        self.effects.append(Dropped(user.key, why))
        self.touched.add(user.key)
        del self.users[user.key]

    def _watermark_ms(self) -> int:
        if self.clock.watermark_ms is None:
            raise RuntimeError("no event has set the watermark")
        return self.clock.watermark_ms


def scored_steps(
    ring: Sequence[Step], steps_count: int, refresh_steps: int
) -> tuple[tuple[Step, int], ...]:
    """Return the last m steps held, each with the ms since the one before; -1: the first."""
    if steps_count <= 2 * refresh_steps:
        m = steps_count
    else:
        m = refresh_steps + 1 + (steps_count - 1) % refresh_steps
    steps = list(ring)[-m:]
    gaps = [-1, *(b.time_ms - a.time_ms for a, b in pairwise(steps))]
    return tuple(zip(steps, gaps, strict=True))


def _is_forget(event: Event) -> bool:
    return bool(event.flags & Flag.CONTROL_FORGET)


def _key_of(event: Event) -> bytes:
    if event.user is None:
        raise ValueError(f"an event without user and without reason: {event}")
    return event.user

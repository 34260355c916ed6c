"""One engine: the state of one partition number, and the one door through which it changes.

    apply(batch) -> Applied      the sweep that a row waits for, rows into the state, a plan
    settle(applied, scores)      scores into the state, alerts
    take_touched()               what the changelog must hold, for the rows settled so far

`apply` and `settle` take turns. What is given back is copied: the engine keeps no reference.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from stream.core.apply import CREATED, FORGOTTEN, SWEEP, apply_rows
from stream.core.churn import ChurnRules
from stream.core.config import EngineConfig
from stream.core.due import DueIndex
from stream.core.forgotten import Forgotten
from stream.core.layout import EVENT_TYPES, HAZARD_BINS, AlertState, Level, Records, copied
from stream.core.plan import Plan, Scores
from stream.core.rebuild import plan_rebuilds, pool_rows
from stream.core.results import ALERT, Applied, Batch, Settled, Touched, in_order, joined_alerts
from stream.core.settle import settle_rows, sweep_users
from stream.core.slots import Slots
from stream.core.state import State, link_all, new_state, packed, with_room
from stream.core.work import ApplyRules, new_work

SLOTS_START = 1024


class Engine:
    """The users of one partition number. Not safe for several threads."""

    def __init__(self, config: EngineConfig, partition: int, rows_max: int = 8192) -> None:
        self.config = config
        self.partition = partition
        users_max = config.users_max
        self.state: State = new_state(
            min(SLOTS_START, users_max), config.window_steps, config.hidden_users_max, users_max
        )
        self._rows_max = rows_max
        self._slots = Slots(len(self.state.users))
        self._gone: dict[bytes, None] = {}
        self._due = DueIndex(config.bucket_ms)
        self._forgotten = Forgotten(config.hash_key, config.forgotten_max, config.forget_keep_ms)
        self._work = new_work(
            rows_max, config.window_steps, config.refresh_steps, config.exclude_recent
        )
        self._locals_of = np.full(len(self.state.users), -1, np.int32)
        self._pending = False
        self.dropped = dict.fromkeys(("capacity", "forgotten", "ttl"), 0)  # users, ever
        self._apply_rules = ApplyRules(
            refresh_steps=config.refresh_steps,
            future_ms_max=config.future_ms_max,
            jump_ms_max=config.watermark_jump_ms_max,
            gap_ms_max=config.source_gap_ms_max,
            bucket_ms=config.bucket_ms,
            events_min=config.churn_events_min,
            forget_keep_ms=config.forget_keep_ms,
            exclude_recent=config.exclude_recent,
        )
        self._churn_rules = ChurnRules(
            enter=config.churn_enter,
            leave=config.churn_leave,
            high=config.churn_high,
            horizon_ms=config.churn_horizon_ms,
            events_min=config.churn_events_min,
            ttl_ms=config.user_ttl_ms,
            edges_ms=np.array(config.hazard_edges_ms, np.int64),
        )

    # -- rows

    def run(self, batch: Batch, score: Callable[[Plan], Scores]) -> list[Settled]:
        """Apply and settle a whole batch, one part after the other."""
        parts = []
        first = 0
        while first < len(batch.events):
            applied = self.apply(batch, first)
            parts.append(self.settle(applied, score(applied.plan)))
            first = applied.rows_next
        return parts

    def apply(self, batch: Batch, first: int = 0) -> Applied:
        """Apply rows from `first` on, as far as they go without a settlement between.

        A row that passes a bucket's end is swept for here and never earlier: a state that is
        written and then goes on with other rows must not have seen it.
        """
        if self._pending:
            raise RuntimeError(f"partition {self.partition}: apply before settle")
        if len(batch.events) - first > self._rows_max:
            raise ValueError(f"batch of {len(batch.events) - first} rows, at most {self._rows_max}")
        swept: tuple[Records, list[bytes]] | None = None
        if self._apply(batch, first) == SWEEP and self._work.counts[0] == 0:
            swept = self._sweep()
            self._apply(batch, first, swept=True)
        self._pending = True
        applied = self._collect(batch, first)
        if swept is not None:
            applied.alerts = joined_alerts([swept[0], applied.alerts])
            applied.alert_keys = swept[1] + applied.alert_keys
        return applied

    def _apply(self, batch: Batch, first: int, *, swept: bool = False) -> int:
        """Call the loop; returns why it stopped. What it did is in the work buffers."""
        users = batch.users
        slots = self._slots.find(users)
        self._make_room(int(np.count_nonzero(slots < 0)), self.config.users_max)
        stop = apply_rows(
            self._apply_rules,
            self.state,
            batch.events,
            batch.steps,
            slots,
            self._locals_of,
            np.array(self._forgotten.times(users), np.int64),
            np.full(len(users), -1, np.int32),
            np.zeros(len(users), np.int32),
            first,
            swept,
            self._work,
        )
        return int(stop)

    def settle(self, applied: Applied, scores: Scores) -> Settled:
        """Take the scores of the rows applied last."""
        if not self._pending:
            raise RuntimeError(f"partition {self.partition}: settle before apply")
        self._pending = False
        scored, count = applied.scored, len(applied.scored)
        if not count == len(scores.purchase) == len(scores.hazard) == len(scores.next_event):
            raise ValueError(f"scores of {len(scores.purchase)} rows for {count}")
        widths = scores.next_event.shape[1], scores.hazard.shape[1]
        if widths != (len(EVENT_TYPES), HAZARD_BINS):
            raise ValueError(f"scores of widths {widths}")
        churn = np.empty(count, np.float32)
        alerts = np.zeros(2 * count, ALERT)
        alerts_count = settle_rows(
            self._churn_rules, self.state, scored, scores.next_event, scores.purchase,
            scores.hazard, churn, alerts, np.empty(HAZARD_BINS),
        )  # fmt: skip
        alerts = alerts[:alerts_count]
        keys = applied.alert_keys + [self._key(slot) for slot in alerts["key"].tolist()]
        self._due.note(self.state, np.ascontiguousarray(scored["slot"]))
        alerts, keys = in_order(joined_alerts([applied.alerts, alerts]), keys)
        alerts["key"] = np.arange(len(alerts))
        return Settled(applied.rows, churn, scores, alerts, keys)

    # -- another model

    def pool_rows(self, wanted: npt.NDArray[np.bool_]) -> npt.NDArray[np.int32]:
        """Name those of the wanted pool rows (P,) that a user owns, most recently active first."""
        return pool_rows(self.state, wanted)

    def plan_rebuilds(self, rows: npt.NDArray[np.int32], refresh_steps: int) -> Plan:
        """Plan the (h, c) of these pool rows from zero, for a model of the given L; no row scored.

        Holds for all rows applied so far, settled or not. Cost 0.1 us a step.
        """
        return plan_rebuilds(self.state, rows, refresh_steps)

    def change_model(self, refresh_steps: int, warm: npt.NDArray[np.bool_]) -> None:
        """Plan for another model from the next row on. Only between settle and apply.

        warm: (P,) True where the new model has the (h, c) of the pool row's owner; the others lose
        their row, and are rebuilt from the window at their next event. Raises ValueError where
        2 L does not fit the window.
        """
        if self._pending:
            raise RuntimeError(f"partition {self.partition}: another model before settle")
        state = self.state
        cold = np.flatnonzero((state.pool_owner >= 0) & ~warm)
        state.hidden_row[state.pool_owner[cold]] = -1
        state.pool_owner[cold] = -1
        if refresh_steps != self.config.refresh_steps:
            config = replace(self.config, refresh_steps=refresh_steps)
            self.config = config
            self._apply_rules = self._apply_rules._replace(refresh_steps=refresh_steps)
            self._work = new_work(
                self._rows_max, config.window_steps, refresh_steps, config.exclude_recent
            )

    # -- the changelog

    def take_touched(self) -> Touched:
        """Hand out what changed since the last call. Only between settle and apply."""
        if self._pending:
            raise RuntimeError(f"partition {self.partition}: changelog of rows not settled")
        slots = np.flatnonzero(self.state.dirty)
        self.state.dirty[slots] = 0
        gone, self._gone = list(self._gone), {}
        watermark_ms = int(self.state.clock["watermark_ms"][0])
        keys = self._slots.names(slots)
        return Touched(slots, keys, gone, self._forgotten.changes(watermark_ms))

    def restore_slots(self, keys: list[bytes]) -> npt.NDArray[np.int32]:
        """Return the slots into which users of the changelog, all different, are to be written.

        `finish_restore` comes after the last. Until then there may be more than `users_max`, up to
        twice as many: who has left and come again since has no tombstone in a compacted changelog.
        Raises ValueError beyond. 0.3 us a user.
        """
        slots = self._slots.find(keys)
        new = np.flatnonzero(slots < 0)
        self._make_room(len(new), 2 * self.config.users_max)
        clock = self.state.clock[0]
        left = int(clock["free_count"]) - len(new)
        if left < 0:
            raise ValueError(
                f"partition {self.partition}: the changelog holds more users than twice "
                f"users_max={self.config.users_max}"
            )
        slots[new] = self.state.free[left : left + len(new)][::-1]  # from the top of the stack
        clock["free_count"] = left
        clock["users_count"] += len(new)
        names = keys if len(new) == len(keys) else [keys[at] for at in new.tolist()]
        self._slots.change(np.ones(len(new), np.bool_), slots[new], names)
        return slots

    def restore_gone(self, keys: list[bytes]) -> None:
        """Take over tombstones of the changelog, of keys that are all different. 0.5 us each."""
        slots = self._slots.find(keys)
        slots = slots[slots >= 0]
        self._leave(slots)
        state, count = self.state, len(slots)
        state.users["epoch"][slots] = 0
        clock = state.clock[0]
        free = int(clock["free_count"])
        state.free[free : free + count] = slots
        clock["free_count"] = free + count
        clock["users_count"] -= count

    def restore_forgotten(self, name: bytes, time_ms: int | None) -> None:
        """Take over a forgotten user's hash from the changelog."""
        self._forgotten.restore(name, time_ms)

    def finish_restore(self, clock: Records) -> None:
        """Take over the clocks and rebuild what is derived: order of activity, time index.

        Raises ValueError where a user is ahead of the clocks, or there are more than `users_max`.
        """
        if self.users_count > self.config.users_max:
            raise ValueError(f"{self.users_count} users, users_max={self.config.users_max}")
        if len(self.state.users) > self.config.users_max:
            self._shrink()
        state = self.state
        last = int(state.users["seq_last"][state.users["epoch"] != 0].max(initial=0))
        if last > clock["seq"]:
            raise ValueError(
                f"partition {self.partition}: a user of partition_seq {last} after {clock['seq']}"
            )
        for name in ("seq", "watermark_ms", "shop_ms", "bucket", "witness_epoch", "witness_ms"):
            state.clock[name] = clock[name]
        state.clock["witness_count"] = clock["witness_count"]
        state.clock["jumps_held"] = clock["jumps_held"]
        state.clock["newest"] = state.clock["oldest"] = -1
        state.newer[:] = state.older[:] = -1
        used = np.flatnonzero(state.users["epoch"])
        link_all(state, used[np.argsort(state.users["seq_last"][used], kind="stable")])
        self._due.rebuild(state)

    # -- inside

    @property
    def forgotten(self) -> Forgotten:
        """Who is to find nothing: to look at, not to change."""
        return self._forgotten

    @property
    def users_count(self) -> int:
        """Users that have state."""
        return len(self._slots)

    def slot_of(self, key: bytes) -> int | None:
        """Find where a user's state is, to look at; None: there is none."""
        return self._slots.get(key)

    def open_alerts(self) -> tuple[int, int]:
        """Count firing alerts, at risk and at high risk. Looks at every slot."""
        users = self.state.users
        firing = (users["epoch"] != 0) & (users["alert_state"] == AlertState.FIRING)
        high = int((users["alert_level"][firing] == Level.HIGH_RISK).sum())
        return int(firing.sum()) - high, high

    @property
    def bytes_count(self) -> int:
        """Size of the arrays, the (h, c) pool apart."""
        return sum(array.nbytes for array in self.state)

    def drop_hidden(self) -> None:
        """Forget every kept (h, c): the model has changed."""
        self.state.hidden_row[:] = self.state.pool_owner[:] = -1

    def _key(self, slot: int) -> bytes:
        key = self._slots.name(slot)
        if key is None:
            raise RuntimeError(f"partition {self.partition}: slot {slot} has no user")
        return key

    def _make_room(self, users_new: int, users_max: int) -> None:
        state = with_room(self.state, users_new, self.config.users_max, users_max)
        if state is not self.state:
            self._slots.grow(len(state.users))
            self._locals_of = np.full(len(state.users), -1, np.int32)
            self.state = state

    def _shrink(self) -> None:
        """Give up the slots that a restore had beyond `users_max`."""
        self.state, used = packed(self.state, self.config.users_max)
        keys = self._slots.names(used)
        self._slots = Slots(self.config.users_max)
        self._slots.change(np.ones(len(keys), np.bool_), np.arange(len(keys), dtype=np.int32), keys)
        self._locals_of = np.full(self.config.users_max, -1, np.int32)

    def _collect(self, batch: Batch, first: int) -> Applied:
        """Copy a call's results out of the work buffers and do its ops."""
        work = self._work
        rows, scored, alerts, ops, steps, segments = work.counts.tolist()
        op_keys = self._do_ops(work.ops[:ops], batch.users)
        plan = Plan(
            steps=copied(work.steps[:steps]),
            gap_ms=work.gap_ms[:steps].copy(),
            segment=work.segment[:steps].copy(),
            wave=work.wave[:steps].copy(),
            pool_in=work.pool_in[:segments].copy(),
            pool_out=work.pool_out[:segments].copy(),
            row_step=work.row_step[:scored].copy(),
            head=work.head[:scored].copy(),
            context=work.context[:scored].copy(),
            recent=work.recent[:scored].copy(),
            listed=np.ones(scored, bool),
        )
        return Applied(
            rows=copied(work.rows[:rows]),
            rows_next=first + rows,
            plan=plan,
            scored=copied(work.scored[:scored]),
            alerts=copied(work.alerts[:alerts]),
            alert_keys=[op_keys[op] for op in work.alert_slots[:alerts].tolist()],
        )

    def _do_ops(self, ops: Records, users: list[bytes]) -> list[bytes]:
        """Keep keys and slots in step with who came and who left. 0.5 us an op."""
        if not len(ops):
            return []
        rows = ops.tolist()
        keys = [users[user] if user >= 0 else b"" for _, _, user, _ in rows]
        self._slots.change(ops["kind"] == CREATED, np.ascontiguousarray(ops["slot"]), keys)
        for key, (kind, slot, _, time_ms) in zip(keys, rows, strict=True):
            if kind == CREATED:
                self._gone.pop(key, None)
                continue
            if slot >= 0:
                self._gone[key] = None
                self.dropped["forgotten" if kind == FORGOTTEN else "capacity"] += 1
            if kind == FORGOTTEN:
                self._forgotten.add(self._forgotten.hash(key), time_ms)
        return keys

    def _leave(self, slots: npt.NDArray[np.int32]) -> None:
        """Let the users of slots go."""
        count = len(slots)
        self._slots.change(np.zeros(count, np.bool_), slots, [b""] * count)

    def _sweep(self) -> tuple[Records, list[bytes]]:
        """Sweep the buckets up to the one in which the waiting row falls."""
        state = self.state
        clock = state.clock
        last = int(clock["shop_target_ms"][0]) // self.config.bucket_ms
        alerts: list[Records] = []
        keys: list[bytes] = []
        while (bucket := max(self._due.bucket_next(), int(clock["bucket"][0]))) < last:
            clock["bucket"] = bucket
            end_ms = (bucket + 1) * self.config.bucket_ms
            slots = self._due.pop(state, bucket)
            due = slots[state.users["next_check_ms"][slots] <= end_ms]
            users = state.users[due]
            due = due[np.lexsort((users["seq_last"], users["next_check_ms"]))]
            names = self._slots.names(due)
            found = np.zeros(len(due), ALERT)
            dropped = np.zeros(len(due), np.uint8)
            logs = np.empty(HAZARD_BINS)
            count = sweep_users(self._churn_rules, state, due, end_ms, found, dropped, logs)
            alerts.append(found[:count])
            keys += [names[index] for index in found["key"][:count].tolist()]
            left = np.flatnonzero(dropped)
            self._leave(due[left])
            self._gone.update(dict.fromkeys(names[index] for index in left.tolist()))
            self.dropped["ttl"] += len(left)
            clock["bucket"] = bucket + 1
            self._due.note(state, slots[state.users["epoch"][slots] != 0])
        clock["bucket"] = last
        return joined_alerts(alerts), keys

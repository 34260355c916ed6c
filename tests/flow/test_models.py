"""A change of the model under rows: one model per batch, warm users carried on, others rebuilt."""

import asyncio
import json
import time
from collections.abc import Callable

import numpy as np
import pytest

from stream.core.config import EngineConfig
from stream.core.layout import TOPICS
from stream.core.plan import Plan, Scores
from stream.flow.follow import RETRY_S, Follower
from stream.model.manifest import BundleError
from stream.wire.types import ModelControl
from tests.flow.fakes import FakeChunk, Rig, make_rig, serving
from tests.flow.logs import Log, shop_log
from tests.flow.test_worker import START, done, until
from tests.hand_clock import HandClock
from tests.oracle.int_scorer import IntScorer

CONFIG = EngineConfig(hidden_users_max=64, exclude_recent=False)
SALT = 12_345


class OtherScorer(IntScorer):
    """Another model: the same arithmetic on other event ids. Exact, so warm and cold agree."""

    def score(self, partition: int, plan: Plan) -> Scores:
        steps = plan.steps.copy()
        steps["event_id"] ^= np.uint64(SALT)
        return super().score(partition, plan._replace(steps=steps))


class BrokenScorer(IntScorer):
    """Fails at its third plan."""

    def score(self, partition: int, plan: Plan) -> Scores:
        if self.plans_run == 2:
            raise RuntimeError("no such device")
        return super().score(partition, plan)


class Feed:
    """A worker and a log that is given to it in pieces."""

    def __init__(self, log: Log, scorer: IntScorer | None = None, **changed: float) -> None:
        self.log = log
        self.rig: Rig = make_rig(
            scorer or IntScorer(), config=CONFIG, hidden_users_max=64, **changed
        )
        self._given = [0, 0, 0]

    async def start(self) -> None:
        self.rig.worker.start()
        await self.rig.worker.on_assigned(START)

    async def give(self, share: float) -> None:
        """Give each topic up to a share of it, at once, and wait until it is committed."""
        chunks = []
        for topic, records in enumerate(self.log):
            first, end = self._given[topic], round(share * len(records))
            chunks.append(FakeChunk(TOPICS[topic], 0, first, records[first:end], end))
            self._given[topic] = end
        # On the worker's thread, so that it sees all or nothing: the order is that of event time.
        await self.rig.worker.ask(lambda: [self.rig.worker.on_chunk(c) for c in chunks] and None)
        await until(self._committed, f"{share} of the log")

    def _committed(self) -> bool:
        wanted = {(TOPICS[topic], 0): end for topic, end in enumerate(self._given)}
        return self.rig.transaction.offsets == wanted or bool(self.rig.failures)

    async def finish(self) -> list[dict[str, object]]:
        await self.give(1.0)
        assert done(self.rig, self.log)
        self.rig.worker.stop(5)
        assert self.rig.failures == []
        return predictions(self.rig)

    @property
    def version(self) -> str:
        return self.rig.models.serving.version

    def samples(self, name: str, *labels: str) -> float:
        return self.rig.metrics.series.number(name, labels)


def predictions(rig: Rig) -> list[dict[str, object]]:
    messages = []
    for value in rig.transaction.values("predictions"):
        message = json.loads(value or b"")
        message.pop("emitted_at")
        messages.append(message)
    return messages


async def whole(
    log: Log, scorer: IntScorer, version: str, *shares: float, refresh_steps: int = 16
) -> list[dict[str, object]]:
    """What a worker says that has had one model from the start, given the log as the other was."""
    feed = Feed(log)
    feed.rig.models.serving = serving(scorer, version, refresh_steps)
    await feed.start()
    for share in shares:
        await feed.give(share)
    return await feed.finish()


def switched(messages: list[dict[str, object]]) -> int:
    """Index of the first prediction of the second model; asserts that there is one change."""
    versions = [message["model_version"] for message in messages]
    first = versions.index("m-2")
    assert versions == ["m-1"] * first + ["m-2"] * (len(versions) - first)
    return first


@pytest.mark.parametrize("refresh_steps", [16, 12])
async def test_after_the_change_scores_are_those_of_a_worker_that_always_had_it(
    refresh_steps: int,
) -> None:
    """Warm users are carried on, cold ones rebuilt; with another L, too."""
    log = shop_log(31, 1500)
    second = serving(OtherScorer(), "m-2", refresh_steps)
    feed = Feed(log)
    await feed.start()
    await feed.give(0.5)
    feed.rig.models.offer(second, promote=True)
    await until(lambda: feed.version == "m-2", "the change")
    said = await feed.finish()
    first = switched(said)
    assert 0.4 * len(said) < first < 0.6 * len(said)
    before = await whole(log, IntScorer(), "m-1", 0.5)
    assert said[:first] == before[:first]
    after = await whole(log, OtherScorer(), "m-2", 0.5, refresh_steps=refresh_steps)
    assert said[first:] == after[first:]
    assert feed.samples("model_reloads_total", "swapped") == 1
    assert feed.samples("candidate", "promotion") == 0


async def test_warm_users_are_not_rebuilt() -> None:
    log = shop_log(32, 1500)
    scorer = OtherScorer()
    feed = Feed(log)
    await feed.start()
    await feed.give(0.6)
    feed.rig.models.offer(serving(scorer, "m-2"), promote=True)
    await until(lambda: feed.version == "m-2", "the change")
    before = scorer.steps_run
    assert before > 0
    await feed.give(0.62)
    warm_cost = scorer.steps_run - before
    cold = OtherScorer()
    other = Feed(log, model_warm_s_max=-1.0)  # promoted before anything is warm
    await other.start()
    await other.give(0.6)
    other.rig.models.offer(serving(cold, "m-2"), promote=True)
    await until(lambda: other.version == "m-2", "the change")
    assert cold.steps_run == 0
    await other.give(0.62)
    assert cold.steps_run > 2 * warm_cost
    feed.rig.worker.stop(5)
    other.rig.worker.stop(5)


@pytest.mark.parametrize("size", [1, 7, 64])
async def test_rows_without_a_pause_change_once_and_none_is_lost(size: int) -> None:
    """The change comes whenever it comes: one model per batch, every row once, in order."""
    log = shop_log(33, 900)
    feed = Feed(log, batch_events_max=size, model_warm_share=0.0, commit_interval_s=0.01)
    await feed.start()
    await feed.give(0.3)
    feed.rig.models.offer(serving(OtherScorer(), "m-2"), promote=True)
    said = await feed.finish()
    first = switched(said)
    assert said[:first] == (await whole(log, IntScorer(), "m-1", 0.3))[:first]
    assert said[first:] == (await whole(log, OtherScorer(), "m-2", 0.3))[first:]


async def test_back_again() -> None:
    log = shop_log(34, 900)
    feed = Feed(log)
    await feed.start()
    await feed.give(0.3)
    feed.rig.models.offer(serving(OtherScorer(), "m-2"), promote=True)
    await until(lambda: feed.version == "m-2", "the change")
    await feed.give(0.6)
    feed.rig.models.offer(serving(IntScorer(), "m-1"), promote=True)
    await until(lambda: feed.version == "m-1", "the change back")
    said = await feed.finish()
    versions = [m["model_version"] for m in said]
    back = len(versions) - versions[::-1].index("m-2")
    assert said[back:] == (await whole(log, IntScorer(), "m-1", 0.3, 0.6))[back:]


async def test_a_candidate_that_fails_is_given_up_and_harms_nobody() -> None:
    log = shop_log(35, 900)
    feed = Feed(log)
    await feed.start()
    shares = (0.3, 0.4, 0.5, 0.6)
    await feed.give(shares[0])
    feed.rig.models.offer(serving(BrokenScorer(), "m-2"), promote=False)
    for share in shares[1:]:
        await feed.give(share)
    await until(lambda: "m-2" in feed.rig.models.refused, "the refusal")
    assert feed.rig.models.refused["m-2"] == "RuntimeError: no such device"
    assert feed.samples("model_reloads_total", "refused") == 1
    assert await feed.finish() == await whole(log, IntScorer(), "m-1", *shares)


async def test_a_shadow_is_compared_and_says_nothing() -> None:
    log = shop_log(36, 900)
    feed = Feed(log)
    await feed.start()
    await feed.give(0.2)
    feed.rig.models.offer(serving(IntScorer(), "m-2"), promote=False)  # the same: agrees wholly
    await until(lambda: feed.samples("candidate", "shadow") == 1, "the shadow")
    await until(lambda: feed.samples("candidate_warm_ratio") == 1, "a warm shadow")
    for share in range(25, 100, 5):  # a batch that is full is not compared
        await feed.give(share / 100)
    said = await feed.finish()
    assert {m["model_version"] for m in said} == {"m-1"}
    count, total = buckets(feed, "shadow_agreement_ratio")
    assert count > 400
    assert total == count  # 1 each
    assert buckets(feed, "shadow_purchase_difference")[1] == 0
    assert feed.samples("shadow_scoring_seconds_total", "shadow") > 0


async def test_another_model_as_shadow_differs() -> None:
    feed = Feed(shop_log(36, 600))
    await feed.start()
    await feed.give(0.2)
    feed.rig.models.offer(serving(OtherScorer(), "m-2"), promote=False)
    await until(lambda: feed.samples("candidate_warm_ratio") == 1, "a warm shadow")
    await feed.give(0.25)
    await feed.finish()
    count, total = buckets(feed, "shadow_purchase_difference")
    assert total > 0.1 * count


async def test_new_partitions_find_the_model_that_serves_now() -> None:
    """Also with another L: engines come from restore with that of the start."""
    log = shop_log(37, 900)
    feed = Feed(log)
    await feed.start()
    await feed.give(0.4)
    feed.rig.models.offer(serving(OtherScorer(), "m-2", 12), promote=True)
    await until(lambda: feed.version == "m-2", "the change")
    await feed.rig.worker.on_revoked(frozenset({0}))
    positions = feed.rig.engines.positions(0)
    assert positions is not None
    await feed.rig.worker.on_assigned({0: positions})
    switched(await feed.finish())


def buckets(feed: Feed, name: str) -> tuple[float, float]:
    """Count and sum of a histogram."""
    families = {family.name: family for family in feed.rig.metrics.registry.collect()}
    samples = {
        s.name: s.value for s in families[f"forecart_{name}"].samples if "le" not in s.labels
    }
    return samples[f"forecart_{name}_count"], samples[f"forecart_{name}_sum"]


# -- following the record


def record(active: str, shadow: str | None = None) -> ModelControl:
    return ModelControl(model="main", active=active, shadow=shadow, issued_at=1, issued_by="test")


def follower(
    feed: Feed, loads: Callable[[str], IntScorer], clock: HandClock | None = None
) -> Follower:
    def load(version: str):
        return serving(loads(version), version)

    return Follower(feed.rig.models, load, feed.rig.metrics, clock or HandClock())


def missing(version: str) -> IntScorer:
    raise BundleError(f"no bundle {version} in /models")


async def stepped(follow: Follower, condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        follow.step()
        await asyncio.sleep(0.005)


async def test_the_record_is_followed_and_then_the_shadow() -> None:
    feed = Feed(shop_log(38, 600))
    await feed.start()
    await feed.give(0.3)
    follow = follower(feed, lambda _: OtherScorer())
    follow.take(record("m-2", shadow="m-3"))
    assert feed.samples("model_behind") == 1
    await stepped(follow, lambda: feed.version == "m-2", "the change")
    await stepped(follow, lambda: feed.samples("candidate", "shadow") == 1, "the shadow")
    assert feed.samples("model_behind") == 0
    await feed.give(0.5)
    follow.take(record("m-3"))  # the shadow is promoted, as warm as it is
    await stepped(follow, lambda: feed.version == "m-3", "the next change")
    follow.take(record("m-2"))
    await stepped(follow, lambda: feed.version == "m-2", "the way back")
    feed.rig.worker.stop(5)


async def test_a_bundle_that_is_missing_is_said_once_and_looked_for_again() -> None:
    feed = Feed(shop_log(39, 300))
    await feed.start()
    await feed.give(0.5)
    clock = HandClock()
    there: list[str] = []
    follow = follower(feed, lambda v: OtherScorer() if there else missing(v), clock)
    follow.take(record("m-2"))
    for _ in range(3):
        follow.step()
        clock.now += RETRY_S + 1
    assert feed.samples("model_reloads_total", "refused") == 1
    assert feed.samples("model_behind") == 1
    assert feed.version == "m-1"
    there.append("m-2")
    await stepped(follow, lambda: feed.version == "m-2", "the bundle that came later")
    feed.rig.worker.stop(5)


async def test_a_shadow_of_another_l_is_refused() -> None:
    feed = Feed(shop_log(39, 300))
    follow = Follower(
        feed.rig.models, lambda v: serving(IntScorer(), v, 12), feed.rig.metrics, HandClock()
    )
    follow.take(record("m-1", shadow="m-2"))
    assert feed.samples("model_reloads_total", "refused") == 1
    follow.take(record("m-2"))  # promoted it may be
    assert feed.samples("model_reloads_total", "refused") == 1


async def test_what_is_active_already_is_left_alone() -> None:
    feed = Feed(shop_log(39, 300))
    follow = follower(feed, missing)
    follow.take(record("m-1"))
    follow.step()
    assert feed.samples("model_behind") == 0
    assert feed.samples("model_reloads_total", "refused") == 0

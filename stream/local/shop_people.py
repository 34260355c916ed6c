"""Who visits the simulated shop: taste, personal rhythm, and how a life as a customer goes.

Rules of the room: arrays over users, no loop over them. What never changes is drawn once from the
seed; what does change is moved on by `advance`, after each visit. Times are event time in ms.

Lives: *regular* users keep their gap; *churners* slow down at some time (each gap longer, visits
idle) and then never come back; *returners* pause once for weeks and come back as they were.
"""

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np
import numpy.typing as npt

from stream.local.shop_catalogue import Catalogue

HOUR_MS: Final = 3_600_000
DAY_MS: Final = 86_400_000
NEVER_MS: Final = 2**62
GAP_MS_MIN: Final = 5 * HOUR_MS  # between the starts of two visits; longer than a slice
FAVOURITES: Final = 6
CANDIDATES: Final = 24
DAY_OFFSET: Final = 4  # 1 January 1970 was a Thursday; Monday is 1

CHANNELS: Final = ("web", "app", "store_kiosk")
DEVICES: Final = ("mobile", "desktop", "tablet")
REGIONS: Final = ("DE", "FR", "ES", "IT", "NL", "PL", "SE", "AT")


class Intent(IntEnum):
    """What a visit is about."""

    BROWSE = 0
    COMPARE = 1
    BUY = 2
    IDLE = 3
    RETURN = 4  # comes back to buy what was put into the cart before
    WISH = 5  # a cart used as a bookmark: looks like buying by the counts, and is not


class Life(IntEnum):
    """How a user's story goes."""

    REGULAR = 0
    CHURNER = 1
    RETURNER = 2


# Row: intent of the visit that ended; column: of the next. RETURN comes of a due purchase alone.
NEXT_INTENT: Final = np.array(
    [
        [0.52, 0.14, 0.02, 0.14, 0.00, 0.18],
        [0.12, 0.18, 0.60, 0.04, 0.00, 0.06],
        [0.48, 0.07, 0.02, 0.28, 0.00, 0.15],
        [0.50, 0.08, 0.00, 0.30, 0.00, 0.12],
        [0.50, 0.07, 0.00, 0.28, 0.00, 0.15],
        [0.48, 0.12, 0.00, 0.22, 0.00, 0.18],
    ]
).cumsum(axis=1)
NEXT_INTENT[:, -1] = 1.0
# Probability that the next visit goes on in the same collection, by its intent.
KEEP_COLLECTION: Final = np.array([0.30, 0.60, 0.90, 0.05, 1.00, 0.20])
COMPLEMENT_SHARE: Final = 0.45
CHURNER_SHARE: Final = 0.28
RETURNER_SHARE: Final = 0.15


@dataclass(slots=True)
class People:
    """U users. The second half of the fields moves with time; NEVER_MS: no further visit."""

    gap_ms: npt.NDArray[np.float64]  # (U,) median of the personal gap between visits
    hour: npt.NDArray[np.float64]  # (U,) preferred hour of the day, UTC
    weekend: npt.NDArray[np.bool_]  # (U,) comes rather at weekends
    favourites: npt.NDArray[np.int32]  # (U, 6) collections, by taste
    life: npt.NDArray[np.int8]  # (U,) Life
    slow_from_ms: npt.NDArray[np.int64]  # (U,) churners slow down, returners pause from here
    pause_ms: npt.NDArray[np.int64]  # (U,) of a returner
    visits_slow: npt.NDArray[np.int64]  # (U,) visits that a churner still makes while slowing
    anonymous: npt.NDArray[np.bool_]  # (U,) known by anonymous_id alone
    segment: npt.NDArray[np.bool_]  # (U,) its client speaks Segment's names and ISO times
    stamped: npt.NDArray[np.bool_]  # (U,) its client sends sent_at, the gateway adds received_at
    skew_ms: npt.NDArray[np.int64]  # (U,) how far its clock is wrong; 0 unless stamped
    channel: npt.NDArray[np.int8]  # (U,)
    device: npt.NDArray[np.int8]  # (U,)
    region: npt.NDArray[np.int8]  # (U,)
    next_ms: npt.NDArray[np.int64]  # (U,) start of the next visit
    intent: npt.NDArray[np.int8]  # (U,) of the next visit
    collection: npt.NDArray[np.int32]  # (U,) of the next visit
    target: npt.NDArray[np.int32]  # (U,) item in the cart that will be bought; -1: none
    visits: npt.NDArray[np.int64]  # (U,) made so far
    slowed: npt.NDArray[np.int64]  # (U,) visits made while slowing
    gone_ms: npt.NDArray[np.int64]  # (U,) start of a churner's last visit; NEVER_MS: not gone
    paused_ms: npt.NDArray[np.int64]  # (U,) visit after which a returner pauses; NEVER_MS: not yet


def make_people(
    catalogue: Catalogue, users: int, start_ms: int, days: float, skewed_share: float, seed: int
) -> People:
    """Draw the users of a shop that opens at `start_ms` for some days."""
    rng = np.random.default_rng([seed, 1])
    life = np.select(
        [(draw := rng.random(users)) < CHURNER_SHARE, draw < CHURNER_SHARE + RETURNER_SHARE],
        [Life.CHURNER, Life.RETURNER],
        Life.REGULAR,
    ).astype(np.int8)
    gap_ms = np.clip(rng.lognormal(np.log(2.2), 0.8, users), 0.4, 12.0) * DAY_MS
    late_comer = rng.random(users) < 0.35
    joined = np.where(
        late_comer, rng.random(users) * 0.8 * days * DAY_MS, rng.random(users) * gap_ms
    )
    stamped = rng.random(users) < 0.6
    skewed = stamped & (rng.random(users) < skewed_share)
    first = np.array([0.5, 0.2, 0.0, 0.2, 0.0, 0.1]).cumsum()
    people = People(
        gap_ms=gap_ms,
        hour=np.choose(rng.integers(0, 3, users), [8.0, 13.0, 20.0]) + rng.normal(0, 1.0, users),
        weekend=rng.random(users) < 0.3,
        favourites=_favourites(catalogue, users, rng),
        life=life,
        slow_from_ms=(start_ms + joined + rng.random(users) * 0.8 * days * DAY_MS).astype(np.int64),
        pause_ms=(rng.uniform(9, 24, users) * DAY_MS).astype(np.int64),
        visits_slow=rng.integers(2, 5, users),
        anonymous=rng.random(users) < 0.08,
        segment=rng.random(users) < 0.2,
        stamped=stamped,
        skew_ms=np.where(skewed, rng.integers(-12 * HOUR_MS, 12 * HOUR_MS, users), 0),
        channel=rng.choice(3, users, p=[0.55, 0.4, 0.05]).astype(np.int8),
        device=rng.choice(3, users, p=[0.6, 0.33, 0.07]).astype(np.int8),
        region=rng.integers(0, len(REGIONS), users).astype(np.int8),
        next_ms=(start_ms + joined).astype(np.int64),
        intent=np.searchsorted(first, rng.random(users), side="right").astype(np.int8),
        collection=np.zeros(users, np.int32),
        target=np.full(users, -1, np.int32),
        visits=np.zeros(users, np.int64),
        slowed=np.zeros(users, np.int64),
        gone_ms=np.full(users, NEVER_MS, np.int64),
        paused_ms=np.full(users, NEVER_MS, np.int64),
    )
    people.collection[:] = people.favourites[:, 0]
    return people


def _favourites(
    catalogue: Catalogue, users: int, rng: np.random.Generator
) -> npt.NDArray[np.int32]:
    """Choose six collections for each user: popular ones, in its categories and price band."""
    cumulated = catalogue.heat.cumsum()
    drawn = np.searchsorted(cumulated, rng.random((users, CANDIDATES)) * cumulated[-1])
    first = catalogue.members[drawn, 0]  # (U, 24) stands for its collection
    liked = rng.integers(0, len(catalogue.categories), (users, 3))
    in_taste = (catalogue.category[first][:, :, None] == liked[:, None, :]).any(axis=2)
    band = np.log(catalogue.price_cents[first])
    wanted = rng.normal(band.mean(), 0.6, (users, 1))
    score = 3.0 * in_taste - np.abs(band - wanted) + rng.gumbel(size=band.shape)
    best = np.argsort(-score, axis=1)[:, :FAVOURITES]
    return np.take_along_axis(drawn, best, axis=1).astype(np.int32)


def advance(
    people: People,
    who: npt.NDArray[np.int64],
    bought: npt.NDArray[np.bool_],
    pending: npt.NDArray[np.int32],
    catalogue: Catalogue,
    rng: np.random.Generator,
) -> None:
    """Move users on after their visits: the next one's time, intent and collection.

    `who` are distinct users, `pending` the item each leaves in its cart to buy later, or -1.
    """
    count = len(who)
    now_ms = people.next_ms[who]
    slow = (people.life[who] == Life.CHURNER) & (now_ms >= people.slow_from_ms[who])
    people.visits[who] += 1
    people.slowed[who] += slow
    people.target[who] = pending
    due = pending >= 0
    intent = (NEXT_INTENT[people.intent[who]] <= rng.random(count)[:, None]).sum(axis=1)
    intent = np.where(slow & (rng.random(count) < 0.7), Intent.IDLE, intent)
    intent = np.where(due, Intent.RETURN, intent).astype(np.int8)
    _turn(people, who, intent, bought, catalogue, rng)
    people.intent[who] = intent
    people.next_ms[who] = _next_start(people, who, now_ms, slow, due, rng)
    gone = slow & ~due & (people.slowed[who] > people.visits_slow[who])
    people.gone_ms[who[gone]] = now_ms[gone]
    people.next_ms[who[gone]] = NEVER_MS


def _turn(
    people: People,
    who: npt.NDArray[np.int64],
    intent: npt.NDArray[np.int8],
    bought: npt.NDArray[np.bool_],
    catalogue: Catalogue,
    rng: np.random.Generator,
) -> None:
    """Choose the collection of the next visit: the same, its complement, a favourite, a popular."""
    count = len(who)
    own = people.collection[who]
    keep = (rng.random(count) < KEEP_COLLECTION[intent]) & ~bought
    follow = bought & (rng.random(count) < COMPLEMENT_SHARE)
    favourite = people.favourites[who, rng.integers(0, FAVOURITES, count)]
    popular = np.searchsorted(catalogue.heat.cumsum(), rng.random(count) * 0.999_999)
    fresh = np.where(rng.random(count) < 0.75, favourite, popular)
    people.collection[who] = np.where(keep, own, np.where(follow, catalogue.complement[own], fresh))


def _next_start(
    people: People,
    who: npt.NDArray[np.int64],
    now_ms: npt.NDArray[np.int64],
    slow: npt.NDArray[np.bool_],
    due: npt.NDArray[np.bool_],
    rng: np.random.Generator,
) -> npt.NDArray[np.int64]:
    """Draw when the next visits start: personal gap, then the personal hour and weekday."""
    count = len(who)
    gap = people.gap_ms[who] * rng.lognormal(0, 0.35, count)
    gap *= np.where(slow, 1.7 ** people.slowed[who], 1.0)
    away = (people.life[who] == Life.RETURNER) & (people.paused_ms[who] == NEVER_MS)
    away &= ~due & (now_ms + gap > people.slow_from_ms[who])
    gap += np.where(away, people.pause_ms[who], 0)
    people.paused_ms[who[away]] = now_ms[away]  # one pause in a life
    day = (now_ms + gap).astype(np.int64) // DAY_MS
    to_weekend = (6 - (day + DAY_OFFSET)) % 7
    shift = people.weekend[who] & (to_weekend <= 3) & (rng.random(count) < 0.6)
    day += np.where(shift, to_weekend, 0)
    hour = (people.hour[who] + rng.normal(0, 1.2, count)) % 24
    start = day * DAY_MS + (hour * HOUR_MS).astype(np.int64)
    back = np.clip(rng.lognormal(np.log(16), 0.9, count), 5, 120) * HOUR_MS
    start = np.where(due, now_ms + back.astype(np.int64), start)
    return np.asarray(np.maximum(start, now_ms + GAP_MS_MIN), dtype=np.int64)

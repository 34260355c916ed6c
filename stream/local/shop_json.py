"""Rows of the simulated shop as JSON bytes, in bulk.

Rules of the room: what depends on the item or the user alone is rendered once, so that an event is
one bytes-format of a handful of parts (about 1 µs). Two kinds of client exist: one with our own
names and epoch milliseconds, one with Segment's names and ISO 8601 times. Every event says
`"source":"simulator"`.
"""

import json
from typing import Final

import numpy as np
import numpy.typing as npt

from stream.core.layout import ACTIONS, Records, action_of
from stream.local.shop_catalogue import COLLECTION_ITEMS, KINDS, Catalogue
from stream.local.shop_people import CHANNELS, DEVICES, REGIONS, People

CURRENCY: Final = "EUR"
DEVICE_SWITCH: Final = 8  # each so many visits, a user takes another device than the usual one
_PURCHASE: Final = action_of["purchase"]
_SEGMENT_NAMES: Final = {
    "view": b"product_viewed",
    "click": b"product_clicked",
    "cart": b"product_added",
    "favourite": b"click",  # Segment has no name for it: our own, with an action
}
_FIRST: Final = b'{"event_id":"%s%08x","event_type":"'
_LAST: Final = b',"source":"simulator"}'


class Renderer:
    """Renders rows of one shop. `bots` further users follow the people's."""

    def __init__(self, catalogue: Catalogue, people: People, bots: int, run: str) -> None:
        self._run = run.encode()
        self._prices = [b"%d.%02d" % divmod(int(cents), 100) for cents in catalogue.price_cents]
        self._prices_cents = catalogue.price_cents
        self._ids = [text.encode() for text in catalogue.item_ids]
        self._categories = [
            json.dumps(catalogue.categories[index]).encode() for index in catalogue.category
        ]
        self._items = [_item(catalogue, index, "item_id") for index in range(len(self._ids))]
        self._products = [_item(catalogue, index, "product_id") for index in range(len(self._ids))]
        self._queries = [_query(catalogue, index) for index in range(catalogue.collections)]
        users = len(people.gap_ms)
        self.keys = [
            b"anon:a%07d" % index if hidden else b"u%07d" % index
            for index, hidden in enumerate(people.anonymous.tolist())
        ] + [b"u9%06d" % index for index in range(bots)]
        self._who = [_who(people, key, index) for index, key in enumerate(self.keys[:users])]
        self._who += [(b'"user_id":"%s","is_bot":true' % key,) * 2 for key in self.keys[users:]]
        none = np.zeros(bots, np.int64)
        self._segment = np.concatenate([people.segment, none.astype(np.bool_)])
        self._skew_ms = np.concatenate([people.skew_ms, none])

    def render(self, rows: Records) -> list[bytes]:
        """Give the value of each row, in order. The same row gives the same bytes."""
        count = len(rows)
        values: list[bytes] = [b""] * count
        user = rows["user"]
        clock = rows["time_ms"] + self._skew_ms[user]
        segment = self._segment[user]
        switched = (rows["visit"] % DEVICE_SWITCH == DEVICE_SWITCH - 1).tolist()
        who = [self._who[u][s] for u, s in zip(user.tolist(), switched, strict=True)]
        heads = [_FIRST % (self._run, seq) for seq in rows["seq"].tolist()]
        tails = self._tails(rows, clock)
        parts = (rows, values, who, heads, tails)
        self._fill(np.flatnonzero(~segment), clock.tolist(), False, *parts)
        iso = [b""] * count
        where = np.flatnonzero(segment)
        texts = np.datetime_as_string(clock[where].astype("M8[ms]"), unit="ms")
        for index, text in zip(where.tolist(), texts.tolist(), strict=True):
            iso[index] = b'"%sZ"' % text.encode()
        self._fill(where, iso, True, *parts)
        return values

    def _tails(self, rows: Records, clock: npt.NDArray[np.int64]) -> list[bytes]:
        """Render session and clock readings, the end of each event."""
        pairs = zip(
            rows["user"].tolist(),
            rows["visit"].tolist(),
            rows["seen_ms"].tolist(),
            rows["sent_ms"].tolist(),
            (rows["sent_ms"] + clock - rows["time_ms"]).tolist(),  # on the client's clock
            strict=True,
        )
        return [
            b',"session_id":"s%x-%x","sent_at":%d,"received_at":%d%s'
            % (user, visit, read, sent + seen, _LAST)
            if seen
            else b',"session_id":"s%x-%x"%s' % (user, visit, _LAST)
            for user, visit, seen, sent, read in pairs
        ]

    def _fill(
        self,
        where: npt.NDArray[np.int64],
        clock: list[int] | list[bytes],
        segment: bool,
        rows: Records,
        values: list[bytes],
        who: list[bytes],
        heads: list[bytes],
        tails: list[bytes],
    ) -> None:
        """Render the rows `where`, whose clients are all of one kind."""
        names = [
            b'%s","action":"%s"' % (_SEGMENT_NAMES.get(name, b"click") if segment else b"click",
                                    name.encode())
            for name in ACTIONS
        ]  # fmt: skip
        item_parts = self._products if segment else self._items
        time_part = b'%s%s,%s,"event_time":%s%s%s' if segment else b'%s%s,%s,"event_time":%d%s%s'
        search = b'products_searched"' if segment else b'search"'
        purchase = b'order_completed"' if segment else b'purchase"'
        actions = rows["action"].tolist()
        items = rows["item"].tolist()
        queries = rows["query"].tolist()
        for i in where.tolist():
            action = actions[i]
            if queries[i] >= 0:
                name, body = search, self._queries[queries[i]]
            elif action == _PURCHASE:
                name, body = purchase, self._order(rows[i], segment)
            else:
                name, body = names[action], item_parts[items[i]]
            values[i] = time_part % (heads[i], name, who[i], clock[i], body, tails[i])

    def _order(self, row: np.void, segment: bool) -> bytes:
        """Render what was bought: items in order, and the total."""
        quantity = int(row["quantity"])
        lines = [(int(row["item"]), quantity)]
        lines += [(int(extra), 1) for extra in row["extra"] if extra >= 0]
        total = sum(int(self._prices_cents[item]) * count for item, count in lines)
        name = b"product_id" if segment else b"item_id"
        items = b",".join(
            b'{"%s":"%s","category":%s,"quantity":%d,"price":%s}'
            % (name, self._ids[item], self._categories[item], count, self._prices[item])
            for item, count in lines
        )
        return b',"order_id":"o%08x","items":[%s],"total":%d.%02d,"currency":"%s"' % (
            int(row["seq"]), items, *divmod(total, 100), CURRENCY.encode()
        )  # fmt: skip


def _item(catalogue: Catalogue, index: int, name: str) -> bytes:
    cents = int(catalogue.price_cents[index])
    return b',"%s":"%s","category":%s,"brand":%s,"price":%d.%02d,"currency":"%s"' % (
        name.encode(),
        catalogue.item_ids[index].encode(),
        json.dumps(catalogue.categories[catalogue.category[index]]).encode(),
        json.dumps(catalogue.brands[catalogue.brand[index]]).encode(),
        *divmod(cents, 100),
        CURRENCY.encode(),
    )


def _query(catalogue: Catalogue, index: int) -> bytes:
    body = b',"query":%s,"results_count":%d' % (
        json.dumps(catalogue.queries[index]).encode(), COLLECTION_ITEMS
    )  # fmt: skip
    if KINDS[catalogue.kind[index]] in {"brand", "price"}:
        category = catalogue.categories[catalogue.category[catalogue.members[index, 0]]]
        body += b',"category":%s' % json.dumps(category).encode()
    return body


def _who(people: People, key: bytes, index: int) -> tuple[bytes, bytes]:
    """Render a user with the usual device, and with the other one."""
    name = b'"user_id":"%s"' % key
    if people.anonymous[index]:
        name = b'"anonymous_id":"%s"' % key.removeprefix(b"anon:")
    device = int(people.device[index])
    rest = b',"channel":"%s","device":"%s","region":"%s"'
    channel = CHANNELS[people.channel[index]].encode()
    region = REGIONS[people.region[index]].encode()
    usual, other = (
        name + rest % (channel, DEVICES[(device + turn) % len(DEVICES)].encode(), region)
        for turn in (0, 1)
    )
    return usual, other

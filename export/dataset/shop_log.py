"""A simulated shop's whole log: what training sees of it is what a worker would. Synthetic.

Rules of the room: one partition; faults included (duplicates, late events, dead letters).
"""

import numpy as np

from export.dataset.event_log import EventLog
from export.dataset.merge_log import LogMerger
from export.dataset.names import Names
from stream.core.layout import TOPICS
from stream.local.shop import Shop
from stream.wire.decode import Decoder


def shop_log(shop: Shop, names: Names | None = None) -> EventLog:
    """Play a shop to its end. About 15 us an event. Nobody is left out: see `LogMerger.merged`."""
    merger = LogMerger(Decoder(1), names=names)
    offsets = [0] * len(TOPICS)
    for block in shop.events():
        topics = block.topic
        for topic in range(len(TOPICS)):
            at = np.flatnonzero(topics == topic)
            first, last = offsets[topic], offsets[topic] + len(at)
            offsets[topic] = last
            indices = at.tolist()
            merger.add(
                topic,
                0,
                list(range(first, last)),
                block.rows["deliver_ms"][at].tolist(),
                [block.keys[index] for index in indices],
                [block.values[index] for index in indices],
            )
    return merger.merged(shop.end_ms)

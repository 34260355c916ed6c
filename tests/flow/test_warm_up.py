"""After the warm-up a real log finds nothing to compile, and nothing of the warm-up is left."""

import subprocess
import sys

LOOK = """
import importlib, pkgutil
from numba.core.dispatcher import Dispatcher
import numpy as np
import stream.core, stream.model, stream.wire
from stream.core.engine import Engine
from stream.flow.buffer import TopicBuffer
from concurrent.futures import ThreadPoolExecutor
from stream.flow.opening import Opener
from stream.flow.order import Order
from stream.flow.partition import Partition
from stream.wire.records import columns_of
from stream.flow.warm_up import TIME_MS, Made, _apply_all, warm_up
from stream.local.shop import Shop
from stream.settings import Settings
from stream.shell.metrics import Metrics
from stream.wire.decode import Decoder
from stream.wire.topics import INPUTS

settings = Settings(provider="cpu", topic_prefix="x-")
opener = Opener(settings, 1, Metrics(1))
serving = opener.first(None)
scorer, effects = serving.scorer, serving.effects
config = settings.engine(serving.refresh_steps, opener.hazard_edges_ms)
decoder = Decoder(1, settings.event_bytes_max, settings.skew_ms_max)
inputs = [settings.topic(name) for name in INPUTS]


def compiled():
    found = set()
    for room in (stream.core, stream.model, stream.wire):
        for info in pkgutil.iter_modules(room.__path__, room.__name__ + "."):
            for thing in vars(importlib.import_module(info.name)).values():
                if isinstance(thing, Dispatcher):
                    found |= {f"{thing.py_func.__qualname__}{sign}" for sign in thing.signatures}
    return found


warm_up(config, 1, inputs, decoder, scorer, effects)
assert not scorer._pools
before = compiled()
buffers = [TopicBuffer(topic, name, 0, 0) for topic, name in enumerate(inputs)]
rows = [([], []) for _ in inputs]
for block in Shop(3, users=80, days=45, partitions=1).events():
    for topic, key, value in zip(block.topic.tolist(), block.keys, block.values):
        rows[topic][0].append(key)
        rows[topic][1].append(value)
for buffer, (keys, values) in zip(buffers, rows):
    count = len(keys)
    for part in (range(count // 2), range(count // 2, count)):  # decoded together
        mine = slice(part.start, part.stop)
        stamps = [2_000_000_000_000] * len(part)
        columns = columns_of(part, stamps, keys[mine], values[mine])
        made = Made(buffer.name, columns, part.stop, len(part), offset_first=part.start)
        buffer.append(made)
order = Order(decoder, ThreadPoolExecutor(1), 0, 0, config.future_ms_max)
partition = Partition(Engine(config, 0, 256), buffers, order, {}, 10**9)
scorer.open(0, 1000)
_apply_all(partition, scorer, effects)
effects.state(partition)
rows = partition.engine.pool_rows(partition.engine.state.pool_owner >= 0)
scorer.score(0, partition.engine.plan_rebuilds(rows, serving.refresh_steps))
print("outcomes", dict(partition.outcomes))
for name in sorted(compiled() - before):
    print("late", name[:200])
"""


def test_a_real_log_finds_nothing_to_compile():
    done = subprocess.run(
        [sys.executable, "-c", LOOK], capture_output=True, text=True, timeout=170, check=False
    )
    assert done.returncode == 0, done.stderr[-800:]
    lines = done.stdout.splitlines()
    assert "'predicted': " in lines[0]
    assert "'dead_lettered': 0" not in lines[0]
    assert lines[1:] == []

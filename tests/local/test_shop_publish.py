"""Publishing: the pace without a broker, the records and the commands on a real one."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter

import msgspec
import numpy as np
import pytest
from click.testing import CliRunner

from stream.cli import group
from stream.commands import replay as replay_command
from stream.commands import simulate as simulate_command
from stream.core.layout import TOPICS
from stream.local.publish import Pace, Publisher, PublishError, run_paced
from stream.local.shop import Shop
from stream.local.shop_faults import NO_FAULTS, Fault, FaultRates
from stream.wire.murmur2 import partition_of
from tests.kafka_tools import read_all

HALF_POISON = FaultRates(0.05, 0.05, 0.02, 0.3, 0.01, 0.1)
NOBODY = "127.0.0.1:1"


class Sink:
    """Takes the place of a Publisher: keeps what it is sent, and when."""

    def __init__(self):
        self.values = []
        self.times = []

    def send(self, topic, keys, values, shift=None):
        assert len(topic) == len(keys) == len(values) == len(shift)
        self.values += values
        self.times += [time.monotonic()] * len(values)

    def flush(self):
        pass


def shop(**settings):
    return Shop(2, **{"users": 60, "days": 10, "faults": NO_FAULTS, **settings})


def values_of(blocks):
    return [value for block in blocks for value in block.values]


def test_all_of_a_stream_in_order():
    sink = Sink()
    done = run_paced(sink, shop().events(), Pace(), stop=threading.Event())
    assert sink.values == values_of(shop().events())
    assert done.records == sum(done.by_topic) == len(sink.values)
    assert done.value_bytes == sum(map(len, sink.values))
    assert done.ended == "end"


@pytest.mark.parametrize("records_max", [1, 100, 101])
def test_no_more_than_so_many(records_max):
    sink, heard = Sink(), []
    done = run_paced(
        sink, shop().events(), Pace(), stop=threading.Event(), records_max=records_max,
        on_sent=lambda block, start, stop: heard.extend(block.values[start:stop]),
    )  # fmt: skip
    assert done.records == records_max
    assert sink.values == heard == values_of(shop().events())[:records_max]
    assert done.ended == "records"


def test_a_rate_is_kept():
    sink, before = Sink(), time.monotonic()
    done = run_paced(sink, shop().events(), Pace(rate=500), stop=threading.Event(), seconds_max=0.6)
    assert done.ended == "seconds"
    assert 0.6 * 500 * 0.5 <= done.records <= 0.6 * 500 + 1
    assert all(at - before >= index / 500 for index, at in enumerate(sink.times))


def test_a_speed_is_kept():
    sink = Sink()
    done = run_paced(
        sink, shop().events(), Pace(speed=2 * 86_400), stop=threading.Event(), seconds_max=0.6
    )
    assert done.ended == "seconds"
    assert done.stream_ms - done.first_ms <= 0.6 * 2 * 86_400_000
    assert done.speed == pytest.approx(2 * 86_400, rel=0.5)


def test_a_stop_ends_it():
    stop = threading.Event()
    sink = Sink()
    threading.Timer(0.1, stop.set).start()
    done = run_paced(sink, shop().events(), Pace(rate=50), stop=stop)
    assert done.ended == "stopped"
    assert done.records == len(sink.values) < 50


@pytest.mark.parametrize("wrong", [{"rate": 0}, {"speed": -1}, {"rate": 1, "speed": 1}])
def test_a_pace_that_is_none(wrong):
    with pytest.raises(ValueError, match=r"rate|speed"):
        Pace(**wrong)


def test_nobody_there_is_one_line_in_time():
    before = time.monotonic()
    with pytest.raises(PublishError, match=r"no Kafka answers at 127\.0\.0\.1:1") as caught:
        Publisher(NOBODY, TOPICS, reach_s=0.5)
    assert "\n" not in str(caught.value)
    assert time.monotonic() - before < 5


@pytest.mark.parametrize(
    ("speed", "rate", "pace"),
    [
        (None, None, Pace()), ("full", None, Pace()), ("original", None, Pace(speed=1.0)),
        ("100x", None, Pace(speed=100.0)), ("0.5x", None, Pace(speed=0.5)), (None, 7.0, Pace(7.0)),
    ],
)  # fmt: skip
def test_speeds_of_a_replay(speed, rate, pace):
    assert replay_command.pace_of(rate, speed) == pace


@pytest.mark.parametrize(
    "arguments",
    [["--speed", "fast"], ["--speed", "0x"], ["--rate", "5", "--speed", "2x"], ["--run-id", "a b"]],
)
def test_wrong_arguments_of_a_replay(arguments, tmp_path):
    result = CliRunner().invoke(group, ["replay", str(tmp_path / "f"), *arguments])
    assert result.exit_code == 2
    assert result.output.startswith("Error: ")
    assert result.output.count("\n") == 1


def test_errors_of_a_simulation_are_one_line():
    runner = CliRunner()
    for arguments, status in (
        (["--rate", "5", "--full-speed"], 2),
        (["--broker", NOBODY, "--start", "2099-01-01"], 1),
    ):
        result = runner.invoke(group, ["simulate", *arguments])
        assert (result.exit_code, result.output.count("\n")) == (status, 1), result.output


@pytest.mark.kafka
def test_each_record_is_where_the_truth_says(kafka, make_topics):
    names = make_topics(TOPICS, 4, {"max.message.bytes": str(4 << 20)})
    publisher = Publisher(kafka, list(names.values()))
    blocks = list(shop(users=120, faults=HALF_POISON).events())
    done = run_paced(publisher, blocks, Pace(), stop=threading.Event())
    publisher.close()
    wanted = [Counter() for _ in TOPICS]
    for block in blocks:
        for row, key, value, shift in zip(
            block.rows, block.keys, block.values, block.shift, strict=True
        ):
            home = None if key is None else (partition_of(key, 4) + int(shift)) % 4
            wanted[row["topic"]][home, key, value] += 1
    assert any(block.shift.any() for block in blocks)
    total = 0
    for topic, name in enumerate(names.values()):
        rows = read_all(kafka, name)
        found = Counter(
            (None if m.key() is None else m.partition(), m.key(), m.value()) for m in rows
        )
        assert found == wanted[topic]
        total += len(rows)
        order = [m.value() for m in rows if m.partition() == 2 and m.key() is not None]
        sent = [
            value
            for block in blocks
            for value, key, code, shift in zip(
                block.values, block.keys, block.topic, block.shift, strict=True
            )
            if code == topic and key is not None and (partition_of(key, 4) + int(shift)) % 4 == 2
        ]
        assert order == sent
        now_ms = time.time() * 1000
        assert all(0 <= now_ms - m.timestamp()[1] < 300_000 for m in rows)
    assert total == done.records


@pytest.mark.kafka
def test_a_refused_record_ends_the_run(kafka, make_topics):
    names = make_topics(TOPICS, 1, {"max.message.bytes": "2000"})
    publisher = Publisher(kafka, list(names.values()))
    publisher.send(np.zeros(1, np.uint8), [b"u"], [b"x" * 100_000])
    with pytest.raises(PublishError, match="1 records were not delivered"):
        publisher.flush()
    with pytest.raises(PublishError, match="have no wrong one"):
        publisher.send(np.zeros(1, np.uint8), [b"u"], [b"x"], np.ones(1, np.uint8))


@pytest.mark.kafka
def test_topics_that_are_missing_or_differ(kafka, make_topics):
    with pytest.raises(PublishError, match=r"no topic .*nothere.*forecart topics apply"):
        Publisher(kafka, ["nothere", *list(make_topics(TOPICS[1:], 2).values())])
    three = make_topics(["more"], 3)["more"]
    two = make_topics(["less"], 2)["less"]
    with pytest.raises(PublishError, match="differ in their number"):
        Publisher(kafka, [three, two, two])


def invoke(command, kafka, prefix, *arguments):
    result = CliRunner().invoke(
        command, [*arguments, "--broker", kafka, "--set", f"topic_prefix={prefix}"]
    )
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.kafka
def test_replay_publishes_the_file_and_a_run_id_repeats_it(
    kafka, make_topics, topic_prefix, tmp_path
):
    make_topics(TOPICS, 2)
    path = tmp_path / "t.csv"
    kinds = ("pv", "cart", "fav", "buy")
    rows = [f"u{i % 7},{i},1,{kinds[i % 4]},{1_511_539_200 + i}\n" for i in range(1_000)]
    path.write_text("user_id,item_id,category_id,behavior,ts\n" + "".join(rows))
    told = invoke(replay_command.command, kafka, topic_prefix, str(path), "--run-id", "one")
    assert "events=1000 clicks=750 searches=0 purchases=250 broken=0 run_id=one" in told
    invoke(replay_command.command, kafka, topic_prefix, str(path), "--run-id", "one")
    invoke(replay_command.command, kafka, topic_prefix, str(path), "--limit", "10")
    ids = Counter(
        msgspec.json.decode(message.value())["event_id"]
        for name in TOPICS
        for message in read_all(kafka, topic_prefix + name)
    )
    assert Counter(ids.values()) == {2: 1_000, 1: 10}


@pytest.mark.kafka
def test_simulate_publishes_what_its_truth_says(kafka, make_topics, topic_prefix, tmp_path):
    make_topics(TOPICS, 2, {"max.message.bytes": str(4 << 20)})
    truth = tmp_path / "truth.jsonl"
    told = invoke(
        simulate_command.command, kafka, topic_prefix, "--users", "100", "--full-speed",
        "--events", "3000", "--truth", str(truth), "--poison", "0.05",
    )  # fmt: skip
    assert "events=3000 " in told
    messages = [m for name in TOPICS for m in read_all(kafka, topic_prefix + name)]
    assert len(messages) == 3_000
    lines = [json.loads(line) for line in truth.read_text().splitlines()]
    assert lines[-1]["kind"] == "end"
    assert lines[-1]["lines"]["poison"] == sum(line["kind"] == "poison" for line in lines) > 50
    assert any(line.get("fault") == Fault.KEY_NULL.name.lower() for line in lines)
    assert sum(m.key() is None for m in messages) == sum(
        line.get("fault") == "key_null" for line in lines
    )


@pytest.mark.kafka
def test_ctrl_c_ends_a_simulation_cleanly(kafka, make_topics, topic_prefix, tmp_path):
    names = make_topics(TOPICS, 2, {"max.message.bytes": str(4 << 20)})
    Publisher(kafka, list(names.values())).close()  # waits until the broker knows the topics
    truth = tmp_path / "truth.jsonl"
    process = subprocess.Popen(
        [
            sys.executable, "-c", "from stream.cli import main; main()", "simulate",
            "--broker", kafka, "--set", f"topic_prefix={topic_prefix}", "--rate", "200",
            "--truth", str(truth),
        ],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=dict(os.environ),
    )  # fmt: skip
    try:
        deadline = time.monotonic() + 60
        while not read_all(kafka, topic_prefix + TOPICS[0]):
            assert time.monotonic() < deadline
            assert process.poll() is None, process.stderr.read()
        process.send_signal(signal.SIGINT)
        told, complaints = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
    assert process.returncode == 130
    assert "Traceback" not in complaints
    assert "ended=stopped" in told
    sent = int(told.partition("events=")[2].partition(" ")[0])
    assert sent == sum(len(read_all(kafka, topic_prefix + name)) for name in TOPICS)
    assert json.loads(truth.read_text().splitlines()[-1])["kind"] == "end"

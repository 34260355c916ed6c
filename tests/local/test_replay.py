"""Files as events: maps, order, ids, broken rows, and errors of one line."""

import gzip
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stream.core.layout import TOPICS, Reason
from stream.local import files
from stream.local.files import Replay
from stream.local.files_map import FileError
from stream.wire.decode import Decoder
from stream.wire.records import columns_of

DATA = Path(__file__).parents[3] / "shared" / "data"
TAOBAO_HEAD = "user_id,item_id,category_id,behavior,ts\n"
WALL_MS = 1_790_000_000_000


def write(path: Path, text: str) -> Path:
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(text.encode()))
    else:
        path.write_text(text)
    return path


def read(path: Path, run_id="r1", *, maps=(), constants=(), types=(), strict=False):
    """Survey and events, as (topic, key, event, due_ms)."""
    replay = Replay(path, run_id, maps, constants, types)
    survey = replay.survey(strict=strict)
    events = [
        (TOPICS[topic], key, msgspec.json.decode(value), due)
        for batch in replay.batches(survey)
        for topic, key, value, due in zip(
            batch.topic.tolist(), batch.keys, batch.values, batch.due_ms.tolist(), strict=True
        )
    ]
    assert len(events) == survey.good
    return survey, events


def test_taobao_by_its_header(tmp_path):
    rows = (
        "7,10,3,pv,1511539217\n7,10,3,cart,1511539218\n"
        "8,11,4,fav,1511539219\n8,11,4,buy,1511539220\n"
    )
    survey, events = read(write(tmp_path / "t.csv.gz", TAOBAO_HEAD + rows))
    assert survey.in_order
    assert [topic for topic, *_ in events] == ["clicks", "clicks", "clicks", "purchases"]
    assert [event.get("action") for _, _, event, _ in events] == ["view", "cart", "favourite", None]
    _, key, bought, due_ms = events[3]
    assert key == b"8"
    assert due_ms == 1_511_539_220_000
    assert bought["items"] == [{"item_id": "11", "quantity": 1, "category": "4"}]
    assert bought["order_id"] == bought["event_id"]
    assert bought["source"] == "replay:taobao"
    assert "price" not in events[0][2]


def test_diginetica_by_its_header(tmp_path):
    text = (
        "session,user,item,timeframe,eventdate,event\n"
        "617,,35789,53878,2016-01-03,view\n"
        "617,,31044,7112,2016-01-03,view\n"
        "637,197,187672,527208,2016-01-02,purchase\n"
    )
    survey, events = read(write(tmp_path / "d.csv", text))
    assert not survey.in_order
    assert [due for *_, due in events] == sorted(due for *_, due in events)
    (topic, key, bought, due_ms), first, second = events
    assert (topic, key, bought["order_id"]) == ("purchases", b"197", "637")
    assert due_ms == int(datetime(2016, 1, 2, tzinfo=UTC).timestamp() * 1000) + 527_208
    assert first[1] == b"anon:617"
    assert first[2]["anonymous_id"] == "617"
    assert (first[2]["item_id"], second[2]["item_id"]) == ("31044", "35789")


def test_bestbuy_by_its_header(tmp_path):
    text = (
        "time,user,event,query,sku,category\n"
        "2011-08-11 08:45:51.018,u1,search,ipod touch,,\n"
        "2011-08-11 08:47:47.573,u1,click,ipod touch,9225377,abcat0201011\n"
    )
    _, ((topic, _, search, due_ms), (_, _, click, _)) = read(write(tmp_path / "b.csv", text))
    assert (topic, search["query"]) == ("searches", "ipod touch")
    assert due_ms == 1_313_052_351_018
    assert (click["item_id"], click["category"], click["action"]) == (
        "9225377", "abcat0201011", "click",
    )  # fmt: skip


def test_a_map_makes_events_of_any_columns(tmp_path):
    text = "at;visitor;sku;kind;cost\n1700000000;v1;s1;seen;9.95\n1700000001.5;v1;s1;got;9.95\n"
    _, events = read(
        write(tmp_path / "m.csv", text),
        maps=[
            "event_time=at", "user_id=visitor", "item_id=sku", "event_type=kind", "price=cost"
        ],
        constants=["currency=EUR", "channel=web"],
        types=["seen=click/view", "got=purchase"],
    )  # fmt: skip
    (_, _, seen, _), (_, _, got, due_ms) = events
    assert (seen["action"], seen["price"], seen["currency"], seen["channel"]) == (
        "view", 9.95, "EUR", "web",
    )  # fmt: skip
    assert due_ms == 1_700_000_001_500
    assert got["items"] == [{"item_id": "s1", "quantity": 1, "price": 9.95}]


def test_our_own_names_need_no_map(tmp_path):
    text = '{"event_type":"search","event_time":"2026-01-05T10:00:00Z","user_id":"u","query":"a"}\n'
    _, ((topic, key, event, due_ms),) = read(write(tmp_path / "own.jsonl", text))
    assert (topic, key, event["query"], due_ms) == ("searches", b"u", "a", 1_767_607_200_000)


def test_json_lines_with_objects_in_them(tmp_path):
    text = (
        '{"t":1700000000000,"who":{"id":5},"product":{"sku":17}}\n\n{"t":1700000000001,"who":{}}\n'
    )
    survey, events = read(
        write(tmp_path / "n.jsonl.gz", text),
        maps=["event_time=t", "user_id=who.id", "item_id=product.sku"],
        constants=["event_type=click"],
    )
    assert events[0][1:3] == (b"5", {**events[0][2], "item_id": "17", "action": "click"})
    assert [(b.line, b.why) for b in survey.first_broken] == [(3, "user_id is missing")]


@pytest.mark.parametrize("gzipped", [False, True])
def test_parquet(tmp_path, gzipped):
    table = pa.table({
        "at": pa.array([datetime(2026, 1, 5, 10, tzinfo=UTC), datetime(2026, 1, 5, 9, tzinfo=UTC)]),
        "who": pa.array([1.0, 2.0]),
        "sku": pa.array(["a", "b"]),
        "cost": pa.array([float("nan"), 3.5]),
    })  # fmt: skip
    path = tmp_path / "p.parquet"
    pq.write_table(table, path)
    if gzipped:
        path.write_bytes(gzip.compress(path.read_bytes()))
    survey, events = read(
        path,
        maps=["event_time=at", "user_id=who", "item_id=sku", "price=cost"],
        constants=["event_type=click"],
    )
    assert not survey.in_order
    assert [(key, event["item_id"], event.get("price")) for _, key, event, _ in events] == [
        (b"2", "b", 3.5), (b"1", "a", None),
    ]  # fmt: skip


def test_parquet_without_pyarrow_says_what_to_install(tmp_path, monkeypatch):
    path = tmp_path / "p.parquet"
    pq.write_table(pa.table({"at": [1]}), path)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(FileError, match=r"pip install 'forecart\[parquet\]'"):
        Replay(path, "r")


def test_equal_times_keep_the_order_of_the_file(tmp_path):
    times = [1_511_539_300 - (i * 7919) % 3 for i in range(2_000)]  # small ones sort stably anyway
    rows = "".join(f"u,{i},1,pv,{t}\n" for i, t in enumerate(times))
    _, events = read(write(tmp_path / "t.csv", TAOBAO_HEAD + rows))
    wanted = [str(i) for _, i in sorted((t, i) for i, t in enumerate(times))]
    assert [event["item_id"] for _, _, event, _ in events] == wanted


def test_ids_come_of_run_file_and_line(tmp_path):
    rows = "".join(f"u,{i},1,pv,{1_511_539_200 + i}\n" for i in range(50))
    path = write(tmp_path / "t.csv", TAOBAO_HEAD + rows)
    other = write(tmp_path / "o.csv", TAOBAO_HEAD + rows + "u,9,1,pv,1511539299\n")

    def ids(of, run_id):
        return [event["event_id"] for _, _, event, _ in read(of, run_id)[1]]

    assert ids(path, "r1") == ids(path, "r1")
    assert len(set(ids(path, "r1"))) == 50
    assert not set(ids(path, "r1")) & set(ids(path, "r2"))
    assert not set(ids(path, "r1")) & set(ids(other, "r1"))
    assert ids(path, "r1")[0].endswith(":2")


def test_ids_of_a_sorted_file_are_those_of_its_lines(tmp_path):
    path = write(tmp_path / "t.csv", TAOBAO_HEAD + "u,1,1,pv,1511539201\nu,2,1,pv,1511539200\n")
    _, events = read(path)
    assert [event["event_id"].rsplit(":")[-1] for _, _, event, _ in events] == ["3", "2"]


BROKEN = {
    "u,1,1,pv": "4 columns in place of 5",
    "u,1,1,pv,1511539200,x": "6 columns in place of 5",
    "u,1,1,hover,1511539200": "event type 'hover' is not known",
    "u,1,1,,1511539200": "event_type is missing",
    "u,1,1,pv,soon": "Invalid isoformat string: 'soon'",
    "u,1,1,pv,": "event_time is missing",
    "u,1,1,pv,0": "not in the years 2000 to 2099",
    "u,1,1,pv,nan": "cannot convert float NaN",
    "u,1,1,pv,1e400": "cannot convert float infinity",
    ",1,1,pv,1511539200": "user_id is missing",
    "u,,1,pv,1511539200": "item_id is missing",
    "u,,1,buy,1511539200": "item_id is missing",
}


@pytest.mark.parametrize(("row", "why"), BROKEN.items())
def test_a_broken_row_is_counted_and_the_rest_goes_on(tmp_path, row, why):
    good = "u,1,1,pv,1511539200\n"
    path = write(tmp_path / "t.csv", TAOBAO_HEAD + good + row + "\n" + good)
    survey, events = read(path)
    assert (survey.good, survey.broken, len(events)) == (2, 1, 2)
    assert survey.first_broken[0].line == 3
    assert why in survey.first_broken[0].why
    assert [event["event_id"].rsplit(":")[-1] for _, _, event, _ in events] == ["2", "4"]
    with pytest.raises(FileError, match=r"t\.csv: line 3: "):
        read(path, strict=True)


def test_bytes_that_are_no_utf8_are_a_broken_row(tmp_path):
    path = tmp_path / "t.csv"
    path.write_bytes(
        TAOBAO_HEAD.encode()
        + b"u\xff,1,1,pv,1511539200\nu,\xfe,1,pv,1511539200\nu,2,1,pv,1511539200\n"
    )
    survey, events = read(path)
    assert (survey.broken, len(events)) == (2, 1)


def test_only_the_first_broken_rows_are_shown(tmp_path):
    bad = "u,1,1,hover,1511539200\n" * (files.BROKEN_SHOWN + 1)
    survey, _ = read(write(tmp_path / "t.csv", TAOBAO_HEAD + bad + "u,1,1,pv,1511539200\n"))
    assert survey.broken == files.BROKEN_SHOWN + 1
    assert len(survey.first_broken) == files.BROKEN_SHOWN


@pytest.mark.parametrize("extra", [-1, 0, 1])
def test_a_file_out_of_order_has_a_limit(tmp_path, monkeypatch, extra):
    monkeypatch.setattr(files, "SORT_ROWS_MAX", 10)
    rows = "".join(f"u,1,1,pv,{1_511_539_300 - i}\n" for i in range(10 + extra))
    path = write(tmp_path / "t.csv", TAOBAO_HEAD + rows)
    if extra <= 0:
        assert len(read(path)[1]) == 10 + extra
    else:
        with pytest.raises(FileError, match="11 rows not in order of time; at most 10"):
            read(path)


ERRORS = {
    "missing": (None, (), "no such file"),
    "empty": ("", (), "the file is empty"),
    "not recognised": ("a,b\n1,2\n", (), r"not a file that is known by its columns \(a, b\)"),
    "column absent": ("a,b\n1,2\n", ["user_id=c"], r"no column c \(for user_id\); there are a, b"),
    "no time": ("a,b\n1,2\n", ["user_id=a"], "no column for event_time"),
    "no such field": ("a,b\n1,2\n", ["colour=a"], "no field colour"),
    "no value": ("a,b\n1,2\n", ["user_id"], "write FIELD=VALUE"),
    "no JSON": ('\n{"user_id": 1,\n{"a"\n', (), "line 2: no JSON: "),
    "no row": (TAOBAO_HEAD, (), "no usable row, 0 broken"),
    "all broken": (TAOBAO_HEAD + "u,1,1,pv,x\n", (), "no usable row, 1 broken, e.g. line 2"),
    "binary": ("\x7fELF\0\0", (), "neither CSV nor JSON lines nor Parquet"),
}


@pytest.mark.parametrize("name", ERRORS)
def test_errors_are_one_line_that_names_the_file(tmp_path, name):
    text, maps, message = ERRORS[name]
    path = tmp_path / "f.csv"
    if text is not None:
        path.write_text(text)
    with pytest.raises(FileError, match=message) as caught:
        read(path, maps=maps)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("text", [TAOBAO_HEAD + "u,1,1,pv,1511539200\n" * 5_000, '{"a": 1}\n' * 9])
def test_a_damaged_gzip_file(tmp_path, text):
    path = write(tmp_path / "t.csv.gz", text)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(FileError, match="gzip file is damaged"):
        read(path)


@pytest.mark.parametrize("text", ["x=hover", "x=search/view", "x=click/jump", "click", "=click"])
def test_a_type_map_that_says_nothing(tmp_path, text):
    path = write(tmp_path / "t.csv", TAOBAO_HEAD)
    with pytest.raises(FileError, match="--type-map"):
        read(path, types=[text])


REAL = {
    "taobao/events_by_time.csv.gz": ("taobao", 82_503, 0, 1_749),
    "diginetica/raw_sample_view_purchase.csv.gz": ("diginetica", 12_390, 0, 256),
    "bestbuy/events_by_time.csv.gz": ("bestbuy", 999, 876, 0),
}


@pytest.mark.parametrize("name", REAL)
def test_the_real_files_whole(name):
    path = DATA / name
    if not path.exists():
        pytest.skip(f"research data are not here: {path}")
    known, *counts = REAL[name]
    replay = Replay(path, "r1")
    survey = replay.survey(strict=True)
    assert replay.map.name == known
    assert survey.good == sum(counts)
    decoder = Decoder(1)
    found = [0, 0, 0]
    newest_ms = 0
    for batch in replay.batches(survey):
        assert batch.due_ms[0] >= newest_ms
        assert (batch.due_ms[1:] >= batch.due_ms[:-1]).all()
        newest_ms = int(batch.due_ms[-1])
        for topic in range(3):
            where = [i for i, code in enumerate(batch.topic.tolist()) if code == topic]
            count = len(where)
            found[topic] += count
            decoded = decoder.decode(
                topic, 0, 0, count,
                columns_of(
                    range(count), [WALL_MS] * count,
                    [batch.keys[i] for i in where], [batch.values[i] for i in where],
                ),
            )  # fmt: skip
            assert (decoded.events["reason"] == Reason.NONE).all(), decoded.messages
            assert (decoded.events["time_ms"] == batch.due_ms[where]).all()
    assert found == counts

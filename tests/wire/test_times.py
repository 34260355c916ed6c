"""Times: examples, and the kernel against its plain twin and against the standard library."""

import datetime as dt

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stream.wire.times import UNREAD, iso_ms, time_ms

EXAMPLES = {
    "1970-01-01T00:00:00Z": 0,
    "1970-01-01T00:00:00": 0,
    "1970-01-01T00:00": 0,
    "1970-01-01 00:00:01.5Z": 1500,
    "1970-01-01T00:00:00.0019Z": 1,
    "1970-01-01T00:00:00.123456789Z": 123,
    "1970-01-01T02:30:00+02:30": 0,
    "1969-12-31T22:30:00-0130": 0,
    "2024-02-29T12:00:00Z": 1_709_208_000_000,
    "2000-01-01T00:00:00.000Z": 946_684_800_000,
    "2099-12-31T23:59:59.999Z": 4_102_444_799_999,
}
NO_TIMES = (
    "", "now", "2025-02-29T00:00:00Z", "2025-04-31T00:00:00Z", "2025-00-01T00:00:00Z",
    "2025-01-01T24:00:00Z", "2025-01-01T00:60:00Z", "2025-01-01T00:00:60Z", "2025-01-01",
    "2025-01-01T00:00:00.Z", "2025-01-01T00:00:00.1234567890Z", "2025-01-01T00:00:00+24:00",
    "2025-01-01T00:00:00+01", "2025-01-01t00:00:00z", " 2025-01-01T00:00:00Z",
    "2025-01-01T00:00:00Z\n", "٢025-01-01T00:00:00Z", "0000-01-01T00:00:00Z",
)  # fmt: skip


def scanned(text: str) -> int:
    data = np.frombuffer(b"xx" + text.encode() + b"9", np.uint8)
    return iso_ms(data, 2, len(data) - 1)


@pytest.mark.parametrize("text", EXAMPLES)
def test_examples(text):
    assert time_ms(text) == EXAMPLES[text]
    assert scanned(text) in (EXAMPLES[text], UNREAD)


@pytest.mark.parametrize("text", NO_TIMES)
def test_no_times(text):
    assert time_ms(text) is None
    assert scanned(text) == UNREAD


def test_what_is_usual_is_read_by_the_kernel():
    usual = [text for text in EXAMPLES if len(text) >= 19 and "02-29" not in text]
    assert [scanned(text) for text in usual] == [EXAMPLES[text] for text in usual]


@given(
    st.datetimes(dt.datetime(1000, 1, 1), dt.datetime(9999, 12, 30)),  # noqa: DTZ001
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
    st.sampled_from(["seconds", "milliseconds", "microseconds"]),
)
def test_as_the_standard_library(moment, minutes, places):
    zone = dt.timezone(dt.timedelta(minutes=minutes))
    moment = moment.replace(tzinfo=zone)
    text = moment.isoformat(timespec=places)
    parsed = dt.datetime.fromisoformat(text) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    wanted = parsed // dt.timedelta(milliseconds=1)
    assert time_ms(text) == wanted
    assert scanned(text) in (wanted, UNREAD)


texts = st.one_of(
    st.sampled_from([*EXAMPLES, *NO_TIMES]),
    st.from_regex(r"\A[0-9]{4}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9](:[0-6][0-9])?"
                  r"(\.[0-9]{1,4})?(Z|[+-][0-2][0-9]:?[0-9]{2})?\Z"),
    st.text(max_size=25),
)  # fmt: skip


@given(texts)
def test_the_kernel_reads_the_same_or_leaves_it(text):
    assert scanned(text) in (time_ms(text), UNREAD)


def test_numbers():
    assert time_ms(1.9) == 1
    assert time_ms(-0.5) == -1

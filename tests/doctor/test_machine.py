"""The doctor without a broker: bundle, device, disk, settings; whatever happens, lines and 1."""

import mmap
import re
import shutil
from pathlib import Path

import onnxruntime
import pytest
from click.testing import CliRunner

from stream.cli import group
from stream.doctor import device, examine
from stream.doctor.broker import Seen, record_findings
from stream.doctor.machine import settings_findings
from stream.model.bundle import SHIPPED
from stream.settings import Settings

NOBODY = ("--broker", "127.0.0.1:1")


def test_nobody_at_the_broker_s_address_is_a_line_with_a_cure(doctor):
    status, found = doctor(*NOBODY, "--set", "provider=cpu")
    assert status == 1
    (broker,) = found["broker"]
    assert broker["verdict"] == "fail"
    assert "no Kafka answers at 127.0.0.1:1 within 5 s" in broker["said"]
    assert "kafka up" not in broker["said"], "the cure is not said twice, and not as another"
    assert broker["cure"] == "start Kafka at 127.0.0.1:1, or name another with --broker HOST:PORT"
    for check in ("topics", "rights", "model", "records", "clock"):
        assert found[check][0]["said"] == "not looked at: no broker"
    assert found["bundle"][0]["verdict"] == found["disk"][0]["verdict"] == "ok"


def test_lines_are_for_people(tmp_path):
    words = ["doctor", "--set", "provider=cpu", "--set", f"state_dir={tmp_path}"]
    result = CliRunner().invoke(group, words)
    assert result.exit_code == 1
    assert re.search(r"^ok    bundle    demo-\w+: digests right", result.stdout, re.MULTILINE)
    assert re.search(r"^fail  broker    no broker", result.stdout, re.MULTILINE)
    assert "\n                mend: `forecart kafka up`" in result.stdout
    assert re.fullmatch(r"\d+ ok, \d+ warn, 1 fail", result.stdout.splitlines()[-1])


@pytest.mark.parametrize(
    ("name", "said"),
    [("steps.onnx", "sha256"), ("manifest.json", "json is malformed"), ("", "such")],
)
def test_a_broken_bundle_is_named(doctor, tmp_path, name, said):
    folder = tmp_path / "bundle"
    if name:
        shutil.copytree(SHIPPED, folder)
        data = bytearray((folder / name).read_bytes())
        data[len(data) // 2] ^= 0x80
        (folder / name).write_bytes(data)
    status, found = doctor("--set", "provider=cpu", "--set", f"bundle={folder}")
    assert status == 1
    (bundle,) = found["bundle"]
    assert bundle["verdict"] == "fail"
    assert said in bundle["said"].lower()
    assert f"`forecart model check {folder}`" in bundle["cure"]


def test_a_folder_that_is_none_is_said(doctor, tmp_path):
    (tmp_path / "file").touch()
    status, found = doctor("--set", f"state_dir={tmp_path}/file/state", "--set", "provider=cpu")
    assert status == 1
    assert found["disk"][0]["verdict"] == "fail"
    assert "not a directory" in found["disk"][0]["said"]


def test_a_mistyped_variable_is_said(doctor):
    _, found = doctor("--set", "provider=cpu", FORECART_COMIT_INTERVAL_MS="10")
    (typo,) = found["settings"]
    assert (typo["verdict"], typo["said"].split()[0]) == ("warn", "FORECART_COMIT_INTERVAL_MS")
    assert "is FORECART_COMMIT_INTERVAL_MS meant?" in typo["said"]
    assert typo["cure"] == "`unset FORECART_COMIT_INTERVAL_MS`"


def test_what_may_be_overlooked_is_a_warning():
    settings = Settings(broker="elsewhere:9092", web_bind="0.0.0.0")  # noqa: S104
    said = [each.said for each in settings_findings(settings, {}) if each.verdict == "warn"]
    assert any("no erasure_key" in line for line in said)
    assert any("web_bind=0.0.0.0" in line for line in said)


@pytest.mark.parametrize(
    ("strays", "looked", "verdict"),
    [
        (9, 1_000, "warn"), (10, 1_000, "warn"), (11, 1_000, "fail"),
        # A new publisher's first, beside a full topic.
        (1, 2, "fail"), (1, 10, "warn"), (2, 19, "fail"), (2, 20, "warn"), (3, 20, "fail"),
    ],
)  # fmt: skip
def test_few_strays_are_a_warning_and_each_fault_has_its_cure(strays, looked, verdict):
    places = [f"clicks-0-{offset} is somewhere" for offset in range(strays)]
    full = Seen(1_600)
    seen = {"clicks": Seen(looked, elsewhere=places), "searches": full}
    (elsewhere,) = record_findings(Settings(), seen)
    (keyless,) = record_findings(Settings(), {"clicks": Seen(looked, places), "searches": full})
    assert elsewhere.verdict == keyless.verdict == verdict
    assert elsewhere.said.startswith(f"{strays} of {looked} in clicks (")
    assert ("forecart simulate" in elsewhere.cure) == (verdict == "warn")
    assert "dlq replay --reason wrong_partition" in elsewhere.cure
    assert "key = user_id" in keyless.cure
    assert "dlq replay" not in keyless.cure


@pytest.mark.parametrize(("provider", "verdict"), [("prefer", "warn"), ("require", "fail")])
def test_what_cuda_lacks_is_named(doctor, monkeypatch, provider, verdict):
    monkeypatch.setattr(device, "DRIVER", "libc.so.6")  # there, as on a machine with a driver
    monkeypatch.setattr(device, "LIBRARIES", ("libm.so.6", "libcudnn.so.999"))
    monkeypatch.setattr(device, "_driver", lambda *_: device.Finding("driver", "ok", "there"))
    status, found = doctor("--set", f"provider={provider}")
    if "cuda" not in found:
        pytest.skip("onnxruntime without CUDA here: another package is for this machine")
    assert status == 1  # no broker
    (cuda,) = found["cuda"]
    assert cuda["verdict"] == verdict
    assert cuda["said"].startswith(f"cannot be loaded: libcudnn.so.999; provider={provider}: ")
    assert cuda["cure"].startswith("`make setup`; without a clone `pip install 'forecart[gpu]'`")
    assert "provider" not in found, "one fact, one line"


@pytest.mark.parametrize(
    ("provider", "verdict", "so"),
    [("prefer", "warn", "scoring on the CPU"), ("require", "fail", "a worker does not start")],
)
def test_a_driver_that_is_missing_is_one_line(doctor, monkeypatch, provider, verdict, so):
    monkeypatch.setattr(device, "DRIVER", "libcuda.so.999")
    monkeypatch.setattr(device, "LIBRARIES", ("libcudnn.so.999",))
    _, found = doctor("--set", f"provider={provider}")
    (line,) = found["provider"]
    if "without CUDA" in line["said"]:
        pytest.skip("onnxruntime without CUDA here: another package is for this machine")
    assert line["verdict"] == verdict
    assert line["said"].endswith(f"libcuda.so.999 is not found; provider={provider}: {so}")
    assert line["cure"].startswith("where there is no GPU `--set provider=cpu`; else install")
    assert not {"driver", "cuda"} & set(found)


def test_the_libraries_are_those_that_onnxruntime_links_to():
    path = Path(onnxruntime.__file__).parent / "capi" / "libonnxruntime_providers_cuda.so"
    if not path.exists():
        pytest.skip("onnxruntime without CUDA here: another package is for this machine")
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        linked = {name.decode() for name in re.findall(rb"\0(libcu\w+\.so\.\d+)(?=\0)", data)}
    opened = {"libcudnn.so.9", "libcudart.so.12"}  # by name, while running; 12: an older cuDNN's
    assert linked - opened == {device.DRIVER, *device.LIBRARIES} - opened


def test_a_check_that_raises_is_a_line(monkeypatch):
    def raises(_):
        raise ZeroDivisionError("two\nlines")

    monkeypatch.setattr(examine, "disk_findings", raises)
    found = {f.check: f for f in examine.examine(Settings(provider="cpu"), {})}
    assert found["disk"].verdict == "fail"
    assert found["disk"].said == "the check itself failed: ZeroDivisionError: two lines"
    assert found["bundle"].verdict == "ok"

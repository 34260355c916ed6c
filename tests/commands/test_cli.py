"""What holds for every command: help with an example, one clear line, a status that says so."""

import signal
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec

import click
import pytest

from stream.cli import COMMANDS, group
from tests.kafka_tools import produce

FORECART = [sys.executable, "-c", "from stream.cli import main; main()"]
NOBODY = ("--broker", "127.0.0.1:1")


def every_command():
    """(words, command) of each command and subcommand."""
    context = click.Context(group, info_name="forecart")
    for name in COMMANDS:
        if find_spec(f"stream.commands.{name}") is None:
            continue
        command = group.get_command(context, name)
        yield (name,), command
        for part in getattr(command, "commands", {}):
            yield (name, part), command.commands[part]


@pytest.mark.parametrize("words", [words for words, _ in every_command()], ids=" ".join)
def test_help_has_an_example(forecart, words):
    result = forecart(*words, "--help")
    assert result.exit_code == 0
    text = " ".join(result.stdout.split())
    assert "Example:" in text
    assert f"forecart {words[0]}" in text.partition("Example:")[2]


@pytest.mark.parametrize("words", [words for words, _ in every_command()], ids=" ".join)
def test_unknown_option_is_one_line(forecart, words):
    result = forecart(*words, "--nonsense")
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr.count("\n") == 1
    assert "--nonsense" in result.stderr


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("topcs",), "No such command 'topcs'. Did you mean 'topics'? See `forecart --help`."),
        (("topics", "aply"), "Did you mean 'apply'? See `forecart topics --help`."),
        (("zzz",), "No such command 'zzz'. See `forecart --help`."),
        (("tail", "clicks"), "See `forecart tail --help`."),
        (
            ("tail",),
            "argument '{predictions|alerts}'. Choose from: predictions, alerts. See",
        ),
        (
            ("simulate", "--events", "ten"),
            "value for '--events': 'ten' is no whole number. See",
        ),
        (("simulate", "--rate", "ten"), "Invalid value for '--rate': 'ten' is no number."),
        (("simulate", "--rate", "5", "--speed", "5"), "give one of --rate, --speed and --full-"),
        (("explain",), "Give a PREDICTION_ID, or --user"),
        (("explain", "clicks-0-1", "--user", "u"), "A PREDICTION_ID names its user: leave --user"),
        (("state",), "Missing argument 'USER'. See `forecart state --help`."),
        (("audit", "--since", "yore"), "'yore' is neither ISO 8601 nor a duration such as 2h"),
        (("audit", "--settle", "-1"), "Invalid value for '--settle'"),
        (("simulate", "--days", "nan"), "Invalid value for '--days': nan is not a number"),
        (("simulate", "--rate", "inf"), "Invalid value for '--rate': inf is not a number"),
        (
            ("dlq", "replay", "--reason", "late", "--yes"),
            "'late' is not one of 'undecodable', ",
        ),
        (("dlq", "show", "x"), "'x' is not PARTITION-OFFSET of a dead letter, such as 2-17"),
    ],
)
def test_wrong_arguments_are_one_line(forecart, words, line):
    result = forecart(*words)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith("Error: ")
    assert line in result.stderr


@pytest.mark.parametrize(
    ("pair", "status"),
    [("partitions", 2), ("nonsense=1", 2), ("partitions=x", 2), ("partitions=0", 1)],
)
def test_wrong_settings_are_one_line(forecart, pair, status):
    """2: no such argument. 1: a rule of the settings, wherever each came from."""
    result = forecart("topics", "apply", "--set", pair)
    assert result.exit_code == status
    assert result.stderr.count("\n") == 1
    assert pair.partition("=")[0] in result.stderr.lower()


@pytest.mark.parametrize(
    "words", [("topics", "apply"), ("worker",), ("simulate",), ("replay", "events.csv")]
)
def test_no_broker_at_all_is_one_line_and_none_is_started(forecart, tmp_path, words):
    file = tmp_path / "events.csv"
    file.write_text("user_id,item_id,category_id,behavior,ts\n7,8,9,pv,1767571200\n")
    home = tmp_path / "home"
    words = [str(file) if word == file.name else word for word in words]
    result = forecart(*words, "--set", f"state_dir={home}")
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "forecart kafka up" in result.stderr
    assert not home.exists()


def test_group_without_a_command_shows_help(forecart):
    result = forecart()
    assert result.exit_code == 2
    assert "Commands:" in result.output


def test_broken_invariant_keeps_its_traceback(forecart, monkeypatch):
    """Only the world's and the user's mistakes become a line."""

    @click.command()
    def broken():
        raise ValueError("ours")

    monkeypatch.setattr(group, "get_command", lambda *_: broken)
    with pytest.raises(ValueError, match="ours"):
        forecart("broken")


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            {"flag": "commit_interval_ms=5000"},
            "commit_interval_ms=5000: must hold: latency_objective_ms > commit_interval_ms + 50",
        ),
        (
            {"flag": "commit_interval_ms=5000"},
            "latency_objective_ms=1000 (default), commit_interval_ms=5000: must hold",
        ),
        ({"flag": "guarantee=twice"}, "guarantee='twice': must hold: guarantee is exactly_once or"),
        ({"flag": "provider=gpu"}, "must hold: provider is one of require, prefer, cpu"),
        ({"flag": "partitions=many"}, "--set partitions='many' is no whole number"),
        ({"FORECART_PARTITIONS": "many"}, "FORECART_PARTITIONS='many' is no whole number"),
        ({"flag": "partitons=4"}, "unknown setting 'partitons'; is partitions meant?"),
        ({"flag": "zzz=4"}, "Error: unknown setting 'zzz'. See"),
        ({"file": "partitons = 4"}, "forecart.toml: unknown setting 'partitons'; is partitions"),
        ({"file": "partitions = '4'"}, "forecart.toml: partitions='4' is no whole number"),
    ],
)
def test_a_wrong_setting_is_told_with_its_place_and_value(
    forecart, monkeypatch, tmp_path, given, said
):
    monkeypatch.chdir(tmp_path)
    words = ["--set", given["flag"]] if "flag" in given else []
    if "file" in given:
        (tmp_path / "forecart.toml").write_text(given["file"])
    elif not words:
        for name, value in given.items():
            monkeypatch.setenv(name, value)
    result = forecart("doctor", *words)
    assert result.exit_code == (1 if "must hold" in said or "flag" not in given else 2)
    assert said in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_variable_that_is_no_setting_is_a_warning(forecart, monkeypatch, tmp_path):
    monkeypatch.setenv("FORECART_COMIT_INTERVAL_MS", "10")
    result = forecart("capacity", "--events-per-second", "5000", "--users", "2000")
    assert result.exit_code == 0
    assert result.stderr == (
        "Warning: FORECART_COMIT_INTERVAL_MS is no setting, and is not used;"
        " is FORECART_COMMIT_INTERVAL_MS meant?\n"
    )
    lines = forecart("worker", "--set", f"state_dir={tmp_path}").stderr.splitlines()
    assert sum("FORECART_COMMIT_INTERVAL_MS meant?" in line for line in lines) == 1
    monkeypatch.setenv("FORECART_HTTP_PORT", "6066")  # docker-compose.yml asks for it
    monkeypatch.setenv("FORECART_LATENCY_OBJECTIVE_MS", "20")  # below what goes with the default
    lines = forecart("doctor").stderr.splitlines()
    assert len(lines) == 2
    assert "FORECART_COMMIT_INTERVAL_MS meant?" in lines[0]  # perhaps why the other is refused
    assert "must hold" in lines[1]


def test_a_settings_file_that_is_named_and_absent_is_refused(forecart, monkeypatch, tmp_path):
    monkeypatch.setenv("FORECART_SETTINGS", str(tmp_path / "none.toml"))
    result = forecart("topics", "describe")
    assert result.exit_code == 1
    assert result.stderr.startswith(f"Error: settings file {tmp_path}/none.toml: ")
    assert result.stderr.count("\n") == 1


def test_place_that_cannot_be_written_is_one_line(forecart, monkeypatch, tmp_path):
    (tmp_path / "file").touch()

    @click.command()
    def writes():
        (tmp_path / "file" / "out").mkdir()

    monkeypatch.setattr(group, "get_command", lambda *_: writes)
    result = forecart("writes")
    assert result.exit_code == 1
    assert result.stderr == f"Error: {tmp_path}/file/out: not a directory\n"


def test_a_package_that_is_not_installed_is_one_line(forecart, monkeypatch):
    @click.command()
    def wants():
        raise ModuleNotFoundError("No module named 'onnx'", name="onnx.helper")

    monkeypatch.setattr(group, "get_command", lambda *_: wants)
    monkeypatch.setitem(sys.modules, "onnx", None)
    result = forecart("wants")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: the package onnx is not installed: `make setup`")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("absent", ["export.no_such_room", "numpy.no_such_part", "tomlib"])
def test_what_no_installation_mends_has_its_traceback(forecart, monkeypatch, absent):
    @click.command()
    def wants():
        import_module(absent)

    monkeypatch.setattr(group, "get_command", lambda *_: wants)
    with pytest.raises(ModuleNotFoundError):
        forecart("wants")


def test_unreachable_broker_is_one_line_soon():
    runs = {
        words: subprocess.Popen(
            [*FORECART, *words, *NOBODY], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for words in (
            ("topics", "apply"),
            ("topics", "describe"),
            ("tail", "predictions"),
            ("state", "ann"),
            ("audit", "--settle", "60"),
            ("dlq", "list"),
            ("dlq", "replay", "--yes"),
        )
    }
    for words, run in runs.items():
        out, err = run.communicate(timeout=90)
        assert (words, run.returncode, out) == (words, 1, "")
        assert err.count("\n") == 1, err
        assert "no Kafka answers at 127.0.0.1:1 within 5 s" in err
        assert "forecart kafka up" in err


@pytest.mark.kafka
def test_ctrl_c_ends_with_130(kafka, make_topics, topic_prefix):
    make_topics(["predictions"], 2)
    run = subprocess.Popen(
        [
            *FORECART,
            "tail",
            "predictions",
            "--broker",
            kafka,
            "--from-beginning",
            "--set",
            f"topic_prefix={topic_prefix}",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    produce(kafka, topic_prefix + "predictions", [(b"ann", b"no json")])
    assert run.stdout.readline() == f"{topic_prefix}predictions-0-0: unreadable\n"
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=20)
    assert run.returncode == 130
    assert (out, err) == ("", "\nstopped\n")

"""Security settings: what contradicts itself is refused in one line, and no secret is shown."""

from pathlib import Path
from typing import Any

import pytest

from stream.connection import options
from stream.security import SECRETS, Security
from stream.settings import Settings, SettingsError, load, names_with_help, parse_value
from stream.shell.credentials import faust_credentials
from tests.security.certificates import issue, make_authority

SECRET = "hunter2-5ecret"  # noqa: S105 opens nothing
SASL = {
    "broker": "b:9092",
    "security_protocol": "SASL_PLAINTEXT",
    "sasl_mechanism": "SCRAM-SHA-256",
    "sasl_username": "worker",
    "sasl_password": SECRET,
}


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"security_protocol": "TLS"}, "must be one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL"),
        ({"security_protocol": "SASL_PLAINTEXT"}, "needs sasl_mechanism, sasl_username, sasl_pass"),
        ({**SASL, "sasl_password": ""}, "needs sasl_password"),
        ({**SASL, "sasl_mechanism": "GSSAPI"}, "one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512"),
        ({"sasl_username": "worker"}, "security_protocol=PLAINTEXT uses no sasl_username"),
        ({"sasl_password": SECRET}, "security_protocol=PLAINTEXT uses no sasl_password"),
        ({"security_protocol": "SSL", "sasl_username": "w"}, "SSL uses no sasl_username"),
        ({"ssl_ca_file": "/ca"}, "security_protocol=PLAINTEXT uses no ssl_ca_file"),
        ({**SASL, "ssl_key_password": SECRET}, "SASL_PLAINTEXT uses no ssl_key_password"),
        ({"security_protocol": "SSL", "ssl_ca_file": "/nowhere"}, "'/nowhere': no such file"),
        ({"security_protocol": "SSL", "ssl_key_file": __file__}, "go together"),
        ({"security_protocol": "SSL", "ssl_key_password": SECRET}, "but no ssl_key_file"),
        ({**SASL, "broker": ""}, "needs `broker`"),
        ({**SASL, "sasl_password_file": __file__}, "both set"),
        ({**SASL, "sasl_password": "", "sasl_password_file": "/nowhere"}, "no such file"),
        ({**SASL, "sasl_password": "", "sasl_password_file": __file__}, "must hold one line"),
        ({"erasure_key": SECRET, "erasure_key_file": __file__}, "both set"),
    ],
)
def test_nonsense_is_refused_in_one_line(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(SettingsError, match=said) as caught:
        Settings(**{"broker": "b:9092", **changed})
    assert "\n" not in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_password_may_lie_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(SECRET + "\n")
    settings = Settings(**{**SASL, "sasl_password": "", "sasl_password_file": str(file)})
    assert settings.security.password == SECRET


def test_both_libraries_are_told_the_same(tmp_path: Path) -> None:
    authority = make_authority(tmp_path, "authority")
    certificate, key = issue(tmp_path, "client", authority, SECRET)
    security = Security(
        "SASL_SSL", "SCRAM-SHA-512", "worker", SECRET,
        str(authority.file), str(certificate), str(key), SECRET,
    )  # fmt: skip
    told = options("b:9092", security)
    assert told == {
        "bootstrap.servers": "b:9092",
        "security.protocol": "SASL_SSL",
        "sasl.mechanisms": "SCRAM-SHA-512",
        "sasl.username": "worker",
        "sasl.password": SECRET,
        "ssl.ca.location": str(authority.file),
        "ssl.certificate.location": str(certificate),
        "ssl.key.location": str(key),
        "ssl.key.password": SECRET,
    }
    credentials: Any = faust_credentials(security)
    assert credentials.protocol.value == "SASL_SSL"
    assert credentials.mechanism.value == "SCRAM-SHA-512"
    assert (credentials.username, credentials.password) == ("worker", SECRET)
    assert credentials.ssl_context.check_hostname
    subjects = [str(found["subject"]) for found in credentials.ssl_context.get_ca_certs()]
    assert len(subjects) == 1
    assert "authority" in subjects[0]


def test_an_open_connection_has_no_credentials() -> None:
    assert faust_credentials(Security()) is None
    assert options("b:9092", Security()) == {"bootstrap.servers": "b:9092"}


def test_a_locked_key_wants_its_password(tmp_path: Path) -> None:
    authority = make_authority(tmp_path, "authority")
    certificate, key = issue(tmp_path, "client", authority, SECRET)
    wrong = Security(
        "SSL", ca_file=str(authority.file), certificate_file=str(certificate),
        key_file=str(key), key_password="wrong-" + SECRET,
    )  # fmt: skip
    with pytest.raises(SettingsError, match="no TLS with these") as caught:
        faust_credentials(wrong)
    assert SECRET not in str(caught.value)


def test_no_secret_is_shown_or_taken_as_an_argument(tmp_path: Path) -> None:
    settings = Settings(**SASL, erasure_key=SECRET)
    assert SECRET not in repr(settings)
    assert SECRET not in repr(settings.security)
    config = settings.engine(4, tuple(range(1, 9)))
    assert SECRET not in repr(config)
    for name, _, default, _ in names_with_help():
        if name in SECRETS:
            assert default == ""
            with pytest.raises(SettingsError, match=f"{name} is no argument") as caught:
                parse_value(name, SECRET)
            assert SECRET not in str(caught.value)
    file = tmp_path / "forecart.toml"
    file.write_text("sasl_password = 5432112345\n")
    with pytest.raises(SettingsError, match="sasl_password is no text") as caught:
        load(file=file)
    assert "5432112345" not in str(caught.value)


def test_every_secret_is_named() -> None:
    fields = {name for name, _, _, _ in names_with_help()}
    assert fields >= SECRETS
    shown = repr(Settings(**dict.fromkeys(("erasure_key",), "x")))
    assert not any(f"{name}=" in shown for name in SECRETS)


def test_the_erasure_key_makes_another_hash() -> None:
    keys = {Settings(erasure_key=text).hash_key for text in ("", "one", "two", "x" * 500)}
    assert len(keys) == 4
    assert all(1 <= len(key) <= 64 for key in keys)

"""How a deployment gets into Kafka: protocol, mechanism, who, secrets, certificates; checked.

Rules of the room: pure but for the files that are named; knows no Kafka library. A secret stands in
no repr and in no message. `Security` is made by `Settings.security`; what each library makes of it
stands in stream/connection.py (librdkafka) and stream/shell/credentials.py (Faust).
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

PLAINTEXT: Final = "PLAINTEXT"
PROTOCOLS: Final = (PLAINTEXT, "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS: Final = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
SECRETS: Final = frozenset({  # settings
    "sasl_password", "ssl_key_password", "erasure_key", "web_token",
})  # fmt: skip


class SecurityError(ValueError):
    """Settings that contradict each other, or a file that cannot be read. One line."""


@dataclass(frozen=True, slots=True)
class Security:
    """Raises SecurityError on construction where the fields contradict each other."""

    protocol: str = PLAINTEXT
    mechanism: str = ""
    username: str = ""
    password: str = field(default="", repr=False)
    ca_file: str = ""  # PEM; empty: what this machine trusts
    certificate_file: str = ""  # PEM, of this client, with its chain
    key_file: str = ""  # PEM
    key_password: str = field(default="", repr=False)

    def __post_init__(self) -> None:
        """Check the fields against each other, and that the files are there."""
        if self.protocol not in PROTOCOLS:
            raise SecurityError(
                f"security_protocol={self.protocol!r}: must be one of {', '.join(PROTOCOLS)}"
            )
        self._check_sasl()
        self._check_ssl()

    @property
    def is_sasl(self) -> bool:
        """Whether a name and a password are sent."""
        return self.protocol.startswith("SASL_")

    @property
    def is_ssl(self) -> bool:
        """Whether the connection is encrypted."""
        return self.protocol.endswith("SSL")

    def _check_sasl(self) -> None:
        given = {
            "sasl_mechanism": self.mechanism,
            "sasl_username": self.username,
            "sasl_password": self.password,
        }
        if not self.is_sasl:
            self._refuse_unused(given)
            return
        missing = [name for name, value in given.items() if not value]
        if missing:
            raise SecurityError(f"security_protocol={self.protocol} needs {', '.join(missing)}")
        if self.mechanism not in MECHANISMS:
            raise SecurityError(
                f"sasl_mechanism={self.mechanism!r}: must be one of {', '.join(MECHANISMS)}"
            )

    def _check_ssl(self) -> None:
        files = {
            "ssl_ca_file": self.ca_file,
            "ssl_certificate_file": self.certificate_file,
            "ssl_key_file": self.key_file,
        }
        if not self.is_ssl:
            self._refuse_unused({**files, "ssl_key_password": self.key_password})
            return
        if bool(self.certificate_file) != bool(self.key_file):
            raise SecurityError("ssl_certificate_file and ssl_key_file go together: one is missing")
        if self.key_password and not self.key_file:
            raise SecurityError("ssl_key_password is set, but no ssl_key_file")
        for name, path in files.items():
            if path and not Path(path).is_file():
                raise SecurityError(f"{name}={path!r}: no such file")

    def _refuse_unused(self, given: dict[str, str]) -> None:
        """Refuse what would not be used: somebody believes that it is."""
        unused = [name for name, value in given.items() if value]
        if unused:
            raise SecurityError(
                f"security_protocol={self.protocol} uses no {', '.join(unused)}: set the protocol"
                " that was meant, or leave these out"
            )


def secret_of(name: str, text: str, file: str) -> str:
    """Give a secret that is set itself or lies in a file, whose last line break does not count.

    Raises SecurityError.
    """
    if not file:
        return text
    if text:
        raise SecurityError(f"{name} and {name}_file are both set: give one of them")
    try:
        secret = Path(file).read_text().rstrip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise SecurityError(f"{name}_file={file!r}: {_cause(error)}") from error
    if not secret or not secret.isprintable():
        raise SecurityError(f"{name}_file={file!r}: must hold one line, and nothing else")
    return secret


def _cause(error: OSError | UnicodeDecodeError) -> str:
    return (error.strerror or "").lower() if isinstance(error, OSError) else "not UTF-8"

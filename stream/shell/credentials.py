"""What Faust is given to get into Kafka: its credentials, made of stream.security.Security."""

import ssl

from faust.auth import Credentials, SASLCredentials, SSLCredentials

from stream.security import Security
from stream.settings import SettingsError


def faust_credentials(security: Security) -> Credentials | None:
    """Make Faust's credentials; None: a connection without any. Raises SettingsError."""
    context = _context(security) if security.is_ssl else None
    if security.is_sasl:
        return SASLCredentials(
            username=security.username,
            password=security.password,
            mechanism=security.mechanism,
            ssl_context=context,
        )
    return None if context is None else SSLCredentials(context)


def _context(security: Security) -> ssl.SSLContext:
    """Trust and check as librdkafka does: the chain, and the host's name."""
    try:
        context = ssl.create_default_context(cafile=security.ca_file or None)
        if security.certificate_file:
            context.load_cert_chain(
                security.certificate_file,
                security.key_file,
                # Without this, Python would ask at the terminal for the password of a locked key.
                password=lambda: security.key_password,
            )
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise SettingsError(
            f"ssl_ca_file={security.ca_file!r}, ssl_certificate_file="
            f"{security.certificate_file!r}, ssl_key_file={security.key_file!r}: no TLS with"
            f" these: {error.strerror if isinstance(error, OSError) else error}"
        ) from error
    return context

"""A bundle's signature: Ed25519 over the manifest, which holds the digest of every other file.

Rules of the room: `manifest.sig` beside the manifest, base64, one line. What is verified are the
very bytes that are used. The library is optional (`forecart[signing]`), and only asked for where a
deployment has a key.
"""

import base64
import binascii
from pathlib import Path
from typing import Any, Final

from stream.model.manifest import MANIFEST, BundleError

SIGNATURE: Final = "manifest.sig"
EXTRA: Final = "signatures need the package cryptography: install forecart[signing]"


def verify(folder: Path, manifest: bytes, public_key_file: str) -> None:
    """Check the signature of a manifest's bytes. Raises BundleError."""
    key = _load(Path(public_key_file), is_private=False)
    try:
        text = (folder / SIGNATURE).read_bytes()
    except OSError as error:
        raise BundleError(
            f"{SIGNATURE}: {error.strerror}: it is not signed, and bundle_public_key_file is set"
        ) from error
    from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 an extra

    try:
        key.verify(base64.b64decode(text.strip(), validate=True), manifest)
    except (InvalidSignature, binascii.Error) as error:
        raise BundleError(
            f"{SIGNATURE}: not a signature of this {MANIFEST} by the key of {public_key_file}"
        ) from error


def sign(folder: Path, private_key_file: Path) -> Path:
    """Write the signature of a bundle's manifest. Raises BundleError, OSError."""
    key = _load(private_key_file, is_private=True)
    path = folder / SIGNATURE
    path.write_bytes(base64.b64encode(key.sign((folder / MANIFEST).read_bytes())) + b"\n")
    return path


def _load(path: Path, *, is_private: bool) -> Any:
    """Read a PEM key. Raises BundleError."""
    try:
        from cryptography.hazmat.primitives import serialization  # noqa: PLC0415 an extra
        from cryptography.hazmat.primitives.asymmetric import ed25519  # noqa: PLC0415
    except ImportError as error:
        raise BundleError(EXTRA) from error
    wanted = ed25519.Ed25519PrivateKey if is_private else ed25519.Ed25519PublicKey
    try:
        data = path.read_bytes()
        if is_private:
            key: Any = serialization.load_pem_private_key(data, password=None)
        else:
            key = serialization.load_pem_public_key(data)
    except OSError as error:
        raise BundleError(f"{path}: {error.strerror}") from error
    except (ValueError, TypeError) as error:  # TypeError: the key is locked
        raise BundleError(f"{path}: no {_said(is_private)} in PEM, unlocked: {error}") from error
    if not isinstance(key, wanted):
        raise BundleError(f"{path}: no {_said(is_private)}")
    return key


def _said(is_private: bool) -> str:
    return f"Ed25519 {'private' if is_private else 'public'} key"

"""Bundles that are signed: only those of the deployment's key are taken, whatever was changed."""

import json
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest
from click.testing import CliRunner
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from stream.cli import group
from stream.flow.opening import Opener
from stream.model.bundle import SHIPPED, load_bundle
from stream.model.manifest import FILES, MANIFEST, BundleError
from stream.model.shelf import Shelf
from stream.model.signature import SIGNATURE, sign
from stream.settings import Settings
from stream.shell.metrics import Metrics


class Keys(NamedTuple):
    private: Path
    public: Path


def make_keys(folder: Path, name: str) -> Keys:
    key = ed25519.Ed25519PrivateKey.generate()
    pem = serialization.Encoding.PEM
    keys = Keys(folder / f"{name}.pem", folder / f"{name}.pub")
    lock = serialization.NoEncryption()
    keys.private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, lock))
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    keys.public.write_bytes(key.public_key().public_bytes(pem, form))
    return keys


@pytest.fixture
def keys(tmp_path: Path) -> Keys:
    return make_keys(tmp_path, "ours")


@pytest.fixture
def signed(tmp_path: Path, keys: Keys) -> Path:
    folder = Path(shutil.copytree(SHIPPED, tmp_path / "bundle"))
    sign(folder, keys.private)
    return folder


def refused(folder: Path, key_file: Path) -> str:
    with pytest.raises(BundleError) as caught:
        load_bundle(folder, None, str(key_file))
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_signed_bundle_is_taken_and_an_unsigned_is_not(signed: Path, keys: Keys) -> None:
    assert load_bundle(signed, None, str(keys.public)).version == load_bundle().version
    assert "it is not signed" in refused(SHIPPED, keys.public)
    load_bundle(SHIPPED)  # no key, no demand


def test_another_key_does_not_fit(signed: Path, keys: Keys, tmp_path: Path) -> None:
    other = make_keys(tmp_path, "other")
    assert "not a signature of this manifest.json by the key" in refused(signed, other.public)
    sign(signed, other.private)
    assert "not a signature" in refused(signed, keys.public)


@pytest.mark.parametrize("name", [*FILES, MANIFEST, SIGNATURE])
def test_every_file_is_covered(signed: Path, keys: Keys, name: str) -> None:
    data = bytearray((signed / name).read_bytes())
    data[len(data) // 2] ^= 1
    (signed / name).write_bytes(data)
    refused(signed, keys.public)


def test_a_manifest_changed_with_all_its_digests_right_is_refused(signed: Path, keys: Keys) -> None:
    manifest = json.loads((signed / MANIFEST).read_text())
    manifest["calibration"] = {"changed": 1}
    (signed / MANIFEST).write_text(json.dumps(manifest))
    load_bundle(signed)  # the digests cannot tell
    assert "not a signature" in refused(signed, keys.public)


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"no base64!", b"aGFsbG8="])
def test_what_is_no_signature_is_refused(signed: Path, keys: Keys, text: bytes) -> None:
    (signed / SIGNATURE).write_bytes(text)
    assert "not a signature" in refused(signed, keys.public)


def test_what_is_no_key_is_refused(signed: Path, keys: Keys, tmp_path: Path) -> None:
    assert "no Ed25519 public key" in refused(signed, keys.private)
    assert "No such file" in refused(signed, tmp_path / "nowhere")
    curve = ec.generate_private_key(ec.SECP256R1()).public_key()
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    other = tmp_path / "curve.pub"
    other.write_bytes(curve.public_bytes(serialization.Encoding.PEM, form))
    assert "no Ed25519 public key" in refused(signed, other)
    with pytest.raises(BundleError, match="no Ed25519 private key"):
        sign(signed, keys.public)


def test_a_worker_with_a_key_starts_with_nothing_else(signed: Path, keys: Keys) -> None:
    settings = Settings(bundle_public_key_file=str(keys.public), provider="cpu")
    with pytest.raises(BundleError, match="it is not signed"):
        Opener(settings, 1, Metrics(1)).first(None)
    settings = Settings(bundle_public_key_file=str(keys.public), provider="cpu", bundle=str(signed))
    assert Opener(settings, 1, Metrics(1)).first(None).version == load_bundle().version


def test_the_signature_goes_onto_the_shelf_with_the_bundle(
    signed: Path, keys: Keys, tmp_path: Path
) -> None:
    shelf = Shelf(tmp_path / "models")
    version = shelf.put(SHIPPED)
    assert "it is not signed" in refused(shelf.folder / version, keys.public)
    assert shelf.put(signed) == version
    load_bundle(shelf.folder / version, None, str(keys.public))


def test_the_commands_sign_and_check(tmp_path: Path, keys: Keys) -> None:
    folder = Path(shutil.copytree(SHIPPED, tmp_path / "bundle"))
    with_key = ["--set", f"bundle_public_key_file={keys.public}"]
    runner = CliRunner()
    done = runner.invoke(group, ["model", "check", str(folder), *with_key])
    assert done.exit_code == 1
    assert "it is not signed" in done.output
    done = runner.invoke(group, ["model", "sign", str(folder), "--key", str(keys.private)])
    assert done.exit_code == 0, done.output
    done = runner.invoke(group, ["model", "check", str(folder), *with_key])
    assert done.exit_code == 0, done.output
    done = runner.invoke(group, ["model", "sign", str(folder), "--key", str(keys.public)])
    assert done.exit_code == 1
    assert "no Ed25519 private key" in done.output

"""The jars of the embedded broker: pinned by digest, fetched once into the user's cache.

Rules: what is on disk under its final name is complete and has the pinned sha256. A second run
touches no network. `python -m stream.local.jars` prints a new pin file (needs the network).
"""

import hashlib
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

KAFKA_VERSION = "4.3.1"
KAFKA = f"org.apache.kafka:kafka_2.13:{KAFKA_VERSION}"
LOGGING = "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"
PINS = Path(__file__).with_name("kafka_jars.txt")
FETCHES_MAX = 8  # at a time: 45 jars take 6 s instead of 18


class JarError(RuntimeError):
    """The jars cannot be had. The message is one line, for the user."""


class Jar(NamedTuple):
    """One pinned jar."""

    group: str
    artifact: str
    version: str
    sha256: str

    @property
    def file_name(self) -> str:
        """Name of the file, as Maven calls it."""
        return f"{self.artifact}-{self.version}.jar"


def cache_path() -> Path:
    """Folder of the user's cache that is ours."""
    home = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(home) / "forecart"


def jars_path() -> Path:
    """Folder of the jars, and of the JVM's start-up cache, which is of exactly these files."""
    return cache_path() / f"kafka-{KAFKA_VERSION}"


def pinned() -> list[Jar]:
    """Read the pin file. Raises JarError when Kafka and its client differ in version."""
    jars = []
    for line in PINS.read_text().splitlines():
        if line and not line.startswith("#"):
            name, sha256 = line.split()
            group, artifact, version = name.split(":")
            jars.append(Jar(group, artifact, version, sha256))
    versions = {jar.artifact: jar.version for jar in jars}
    for artifact in ("kafka_2.13", "kafka-clients", "kafka-server"):
        if versions.get(artifact) != KAFKA_VERSION:
            raise JarError(
                f"{PINS.name}: {artifact} is {versions.get(artifact)}, Kafka is {KAFKA_VERSION}"
            )
    return jars


def class_path(folder: Path | None = None) -> list[Path]:
    """Jars of the broker in a fixed order, fetched if they are not there. Raises JarError."""
    folder = folder or jars_path()
    jars = pinned()
    missing = [jar for jar in jars if not (folder / jar.file_name).is_file()]
    if missing:
        _fetch(missing, folder)
        _check_client(folder / f"kafka-clients-{KAFKA_VERSION}.jar")
    return [folder / jar.file_name for jar in jars]


def _fetch(jars: list[Jar], folder: Path) -> None:
    """Download into a folder of this call's own, then rename jar by jar: two callers may race."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".fetch-", dir=folder))
    except OSError as error:
        raise JarError(f"cannot write the jars of Kafka to {folder}: {error}") from error
    try:
        with ThreadPoolExecutor(FETCHES_MAX) as pool:
            for jar, path in zip(
                jars, pool.map(lambda jar: _download(jar, work), jars), strict=True
            ):
                path.replace(folder / jar.file_name)
        for stale in folder.glob("*.aot"):  # it is of the former files
            stale.unlink(missing_ok=True)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _download(jar: Jar, work: Path) -> Path:
    from jgo.config import GlobalSettings  # noqa: PLC0415 - slow to import, needed once
    from jgo.maven import MavenContext  # noqa: PLC0415

    # A repository of the user's own jgo settings (a company mirror) is asked first.
    remotes = {**GlobalSettings.load().repositories, **MavenContext().remote_repos}
    context = MavenContext(repo_cache=work, remote_repos=remotes, timeout=60)
    try:
        artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
        path = Path(artifact.resolve())
    except Exception as error:  # requests, OSError, RuntimeError: each means "not to be had"
        first_line = (str(error).splitlines() or [type(error).__name__])[0]
        raise JarError(
            f"cannot fetch {jar.file_name} of Apache Kafka (the first start needs the network): "
            f"{first_line[:200]}"
        ) from error
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != jar.sha256:
        raise JarError(f"{jar.file_name}: sha256 is {digest}, pinned is {jar.sha256}")
    return path


def _check_client(path: Path) -> None:
    with zipfile.ZipFile(path) as jar:
        text = jar.read("kafka/kafka-version.properties").decode()
    if f"version={KAFKA_VERSION}" not in text.split():
        raise JarError(f"{path.name} says {text.split()}, Kafka is {KAFKA_VERSION}")


def _relock() -> Iterator[str]:
    """Yield the lines of a new pin file: Kafka as Maven resolves it, and the logging binding."""
    import jgo  # noqa: PLC0415
    from jgo.maven import MavenContext  # noqa: PLC0415

    names = [(a.groupId, a.artifactId, a.version) for a in jgo.resolve(KAFKA)] + [
        tuple(LOGGING.split(":"))
    ]
    context = MavenContext()
    for group, artifact, version in sorted(set(names)):
        path = context.project(group, artifact).at_version(version).artifact().resolve()
        yield f"{group}:{artifact}:{version} {hashlib.sha256(path.read_bytes()).hexdigest()}"


if __name__ == "__main__":
    for row in _relock():
        print(row)

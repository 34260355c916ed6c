"""Follow the control record: load what it names, offer it, and say where that cannot be done.

Rules of the room: one thread, the control's. What cannot be loaded is refused once per record, with
the reason, and tried again now and then; the model that serves goes on serving.
"""

import logging
import time
from collections.abc import Callable
from typing import Final

from stream.flow.candidate import Serving
from stream.flow.models import Models
from stream.flow.observe import Observer
from stream.wire.types import ModelControl

log = logging.getLogger(__name__)
RETRY_S: Final = 10.0  # a bundle may be put there later

Target = tuple[str, bool]  # version; True: to be promoted, False: shadow


class Follower:
    """`load` opens a version and raises ValueError, RuntimeError or OSError with the reason."""

    def __init__(
        self,
        models: Models,
        load: Callable[[str], Serving],
        observer: Observer,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._models = models
        self._load = load
        self._observer = observer
        self._clock = clock
        self._record: ModelControl | None = None
        self._target: Target | None = None
        self._offered: Serving | None = None
        self._failed: dict[str, str] = {}  # version -> reason, since the last record
        self._retry_at = 0.0

    def take(self, record: ModelControl) -> None:
        """Follow another record from now on."""
        log.info(
            "model-control: %s is active, shadow: %s; issued by %s",
            record.active, record.shadow or "none", record.issued_by,
        )  # fmt: skip
        self._record = record
        self._target = None
        self._failed.clear()
        self._models.refused.clear()
        self.step()

    def refuse(self, reason: str) -> None:
        """Take notice of a record that cannot be used; the one before stays in force."""
        log.error("model-control: record ignored: %s", reason)
        self._observer.model_reload("refused")

    def step(self) -> None:
        """Bring the candidate in line with the record and with what serves. Call it often."""
        record = self._record
        if record is None:
            return
        self._observer.model_behind(record.active != self._models.serving.version)
        target = self._wanted(record)
        again = target is not None and target[0] in self._failed and self._clock() > self._retry_at
        if target == self._target and not again:
            return
        self._target = target
        if target is None:
            self._offered = None
            self._models.withdraw()
        else:
            self._offer(*target)

    def _wanted(self, record: ModelControl) -> Target | None:
        serving = self._models.serving.version
        if record.active != serving:
            return record.active, True
        if record.shadow is not None and record.shadow != serving:
            return record.shadow, False
        return None

    def _offer(self, version: str, promote: bool) -> None:
        try:
            if self._offered is None or self._offered.version != version:
                self._offered = None
                self._models.withdraw()
                self._offered = self._load(version)
            if not promote:
                self._check_shadow(self._offered)
        except (ValueError, RuntimeError, OSError) as error:
            self._retry_at = self._clock() + RETRY_S
            if version not in self._failed:
                self._observer.model_reload("refused")
                log.warning(
                    "model %s is refused: %s; %s goes on serving",
                    version, error, self._models.serving.version,
                )  # fmt: skip
            self._failed[version] = str(error)
            return
        self._failed.pop(version, None)
        self._models.offer(self._offered, promote=promote)

    def _check_shadow(self, shadow: Serving) -> None:
        mine = self._models.serving.refresh_steps
        if shadow.refresh_steps != mine:
            raise ValueError(
                f"refresh_steps={shadow.refresh_steps}: a shadow follows the plans of the model"
                f" that serves, which has {mine}"
            )

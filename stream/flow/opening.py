"""Open a bundle as something that can serve: found, checked, on its device, with its own encoder.

Rules of the room: whatever keeps a bundle from serving here raises, with one line that says why.
Called at the start, then from the control's thread alone.
"""

import logging
from pathlib import Path

from stream.flow.candidate import Serving
from stream.flow.effects import Effects, OutputTopics
from stream.flow.observe import Observer
from stream.model.bundle import SHIPPED, Bundle, load_bundle
from stream.model.manifest import BundleError
from stream.model.providers import open_graphs
from stream.model.scorer import OnnxScorer
from stream.model.shelf import Shelf
from stream.settings import Settings
from stream.wire.outputs import duration_text
from stream.wire.predictions import PredictionEncoder
from stream.wire.topics import (
    ALERTS,
    DEAD_LETTERS,
    ERASURES,
    INPUTS,
    PREDICTIONS,
    RECEIPTS,
    STATE,
)
from stream.wire.types import ModelControl

log = logging.getLogger(__name__)


class Opener:
    """Opens bundles for one worker. `hazard_edges_ms` is of the first: all must have the same."""

    def __init__(self, settings: Settings, partitions: int, observer: Observer) -> None:
        self._settings = settings
        self._partitions = partitions
        self._observer = observer
        self._configured = Path(settings.bundle) if settings.bundle else SHIPPED
        self._shelf = Shelf(settings.models_path, [self._configured])
        self._churn_horizon = duration_text(int(settings.churn_horizon_days * 86_400_000))
        self.hazard_edges_ms: tuple[int, ...] = ()

    def first(self, record: ModelControl | None) -> Serving:
        """Open the model that the control record names; where that fails, the settings' one."""
        if record is not None:
            try:
                return self.open(record.active)
            except (ValueError, RuntimeError, OSError) as error:
                log.warning("model %s cannot serve from the start: %s", record.active, error)
        return self._opened(self._configured)

    def open(self, version: str) -> Serving:
        """Open a version. Raises BundleError, ProviderError, DeviceError, OSError."""
        return self._opened(self._shelf.find(version))

    def _opened(self, folder: Path) -> Serving:
        settings = self._settings
        bundle = load_bundle(folder, settings.window_steps, settings.bundle_public_key_file)
        edges_ms = bundle.hazard_edges_ms
        if self.hazard_edges_ms not in {(), edges_ms}:
            raise BundleError(
                f"bundle {folder}: hazard_edges_ms={list(edges_ms)}, users' states are kept by"
                f" {list(self.hazard_edges_ms)}: a worker started anew with it would take it"
            )

        def failed() -> None:
            """Tell, also in predictions from the next batch on; on the scorer's thread."""
            self._observer.inference_failure("cuda")
            self._observer.provider_fallback()
            effects.encode_with(self._encoder(bundle, "cpu"))

        graphs = open_graphs(bundle, settings.provider, on_failure=failed)
        if graphs.reason:
            log.warning("scoring on the CPU: %s", graphs.reason)
        self.hazard_edges_ms = edges_ms
        effects = self._effects(bundle, graphs.provider)
        return Serving(
            version=bundle.version,
            provider=graphs.provider,
            refresh_steps=bundle.refresh_steps,
            item_json=bundle.item_json,
            scorer=OnnxScorer(bundle, graphs, settings.items_top),
            effects=effects,
        )

    def _encoder(self, bundle: Bundle, provider: str) -> PredictionEncoder:
        return PredictionEncoder(
            [self._settings.topic(name) for name in INPUTS],
            bundle.item_json,
            bundle.version,
            provider,
            (bundle.purchase_horizon, self._churn_horizon),
        )

    def _effects(self, bundle: Bundle, provider: str) -> Effects:
        settings = self._settings
        topics = OutputTopics(
            predictions=settings.topic(PREDICTIONS),
            alerts=settings.topic(ALERTS),
            dead_letters=settings.topic(DEAD_LETTERS),
            receipts=settings.topic(RECEIPTS),
            state=settings.topic(STATE),
            erasures=settings.topic(ERASURES),
        )
        return Effects(
            [settings.topic(name) for name in INPUTS],
            topics,
            self._encoder(bundle, provider),
            bundle.version,
            self._churn_horizon,
            self._partitions,
            settings.dead_letter_bytes_max,
        )

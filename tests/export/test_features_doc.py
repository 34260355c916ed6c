"""docs/features.md says what the code says."""

from export.bundles.features_doc import DOC, refreshed
from stream.core.features import HEAD_FEATURES
from stream.model.step_features import STEP_FEATURES


def test_the_page_is_what_the_code_says() -> None:
    text = DOC.read_text()
    assert refreshed(text) == text, "run python -m export features-doc"
    for name, _, _ in (*STEP_FEATURES, *HEAD_FEATURES):
        assert f"| `{name}` |" in text

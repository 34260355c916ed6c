"""axe-core, the accessibility checker, out of its npm package."""

import json
from typing import Any, Final

from tests.ops.browser import Page
from tests.ops.from_npm import from_npm

VERSION: Final = "4.14.1"
SHA256: Final = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"
RULES: Final = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]


def script() -> str:
    """Give axe's source; a test skips where neither the cache nor npm has it."""
    return from_npm(f"axe-core@{VERSION}", "axe.min.js", SHA256)


def violations(page: Page) -> list[str]:
    """Name what is wrong in the page as it stands, a line each."""
    page.run(script())
    found: list[dict[str, Any]] = json.loads(
        page.js(
            f"axe.run(document, {{runOnly: {json.dumps(RULES)}}})"
            ".then((done) => JSON.stringify(done.violations))"
        )
    )
    return [
        f"{each['id']} ({each['impact']}): {each['help']}: "
        + ", ".join(node["html"][:120] for node in each["nodes"])
        for each in found
    ]

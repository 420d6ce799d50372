"""The one table of routes, in which each module of the API enters its own. It holds no state."""

from __future__ import annotations

from typing import Final

from klein import Klein

ROUTES: Final = Klein()

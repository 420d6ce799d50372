"""The API's own description, open to all."""

from __future__ import annotations

from typing import Any

from ntvmedia.admin.openapi import document
from ntvmedia.admin.operations import Answer, Call, Operations, operation
from ntvmedia.admin.replies import encoded


class Description(Operations):
    """What this API can do."""

    tag = "description"

    def __init__(self, host: Any) -> None:
        super().__init__(host)
        self._document = b""

    @operation("GET", "/openapi.json", role=None, media_type="application/json", answers=dict)
    def openapi(self, call: Call) -> Answer:
        """Describe this API (OpenAPI 3.1)."""
        if not self._document:
            from ntvmedia.admin.resources import RESOURCES

            self._document = encoded(document(RESOURCES))
        return Answer(self._document)

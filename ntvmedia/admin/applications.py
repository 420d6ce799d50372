"""The API's applications: `/mserver/api/v1/applications`."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final
from urllib.parse import quote

from twisted.web.iweb import IRequest

from ntvmedia.access import (
    Application,
    BuiltIn,
    NameInUse,
    NoApplication,
    StoreError,
    WrongField,
    describe,
)
from ntvmedia.admin.bodies import BadBody, json_body
from ntvmedia.admin.replies import reply
from ntvmedia.admin.routes import ROUTES

PATH: Final = "/mserver/api/v1/applications"

# Of what went wrong, in the order of asking.
_STATUS: Final = {
    WrongField: 400,
    NoApplication: 404,
    NameInUse: 409,
    BuiltIn: 409,
    StoreError: 503,
}


class ApplicationRoutes:
    """Lists, shows, makes, changes and deletes applications.

    A refusal is answered by a JSON object with `error`, one clause, and where one field is to blame
    `field`. While the database fails, what is asked to change is answered by 503, and the server
    goes on with what it knows.
    """

    _host: Any

    @ROUTES.route(PATH, methods=["GET"])
    def applications(self, request: IRequest) -> bytes:
        """Answer `GET /mserver/api/v1/applications`: all of them, by name.

        200 with `{"applications": [...]}`, each as for one.
        """
        found = sorted(self._host.applications.items())
        streams, viewers = self._counts()
        return reply(
            request,
            {
                "applications": [
                    self._shown(application, streams[name], viewers[name])
                    for name, application in found
                ]
            },
        )

    @ROUTES.route(PATH, methods=["POST"])
    async def add_application(self, request: IRequest) -> bytes:
        """Answer `POST /mserver/api/v1/applications`: make one.

        The body has its `name`, and values for fields that shall not have their defaults. 201 with
        the application; 400, 409, 413, 415, 503.
        """
        fields = json_body(request)
        if "name" not in fields:
            raise WrongField("is missing", "name")
        name = fields.pop("name")
        if not isinstance(name, str):
            raise WrongField("expected text", "name")
        application = await self._host.applications.add(name, fields)
        request.setHeader("location", f"{PATH}/{quote(application.name, safe='')}")
        return reply(request, self._shown(application), 201)

    @ROUTES.route(f"{PATH}/<name>", methods=["GET"])
    def application(self, request: IRequest, name: str) -> bytes:
        """Answer `GET /mserver/api/v1/applications/NAME`: one application.

        200 with its fields, but for the secrets: `publish_password_set`, `hls_key_url_set` and
        `hls_key_url_shown`; and `built_in`, `created_at` and `updated_at` in seconds since 1970,
        and how many `streams` and `viewers` it has now. 404.
        """
        return reply(request, self._shown(self._host.applications.find(name)))

    @ROUTES.route(f"{PATH}/<name>", methods=["PATCH"])
    async def change_application(self, request: IRequest, name: str) -> bytes:
        """Answer `PATCH /mserver/api/v1/applications/NAME`: change what the body names.

        200 with the application; 400, 404, 409, 413, 415, 503.
        """
        self._host.applications.find(name)
        changed = await self._host.applications.change(name, json_body(request))
        return reply(request, self._shown(changed))

    @ROUTES.route(f"{PATH}/<name>", methods=["DELETE"])
    async def delete_application(self, request: IRequest, name: str) -> bytes:
        """Answer `DELETE /mserver/api/v1/applications/NAME`: delete it, for good.

        204; 404, 409, 503.
        """
        await self._host.applications.remove(name)
        reply(request, {}, 204)
        return b""

    @ROUTES.handle_errors(*_STATUS)
    def not_changed(self, request: IRequest, failure: Any) -> bytes:
        """Answer a refusal, or that the database failed."""
        error = failure.value
        status = next(status for kind, status in _STATUS.items() if isinstance(error, kind))
        return _refusal(request, str(error), getattr(error, "field", ""), status)

    @ROUTES.handle_errors(BadBody)
    def not_understood(self, request: IRequest, failure: Any) -> bytes:
        """Answer a body that is none."""
        error = failure.value
        return _refusal(request, str(error), error.field, error.status)

    def _shown(
        self, application: Application, streams: int | None = None, viewers: int = 0
    ) -> dict[str, Any]:
        name = application.name
        if streams is None:
            of_all = self._counts()
            streams, viewers = of_all[0][name], of_all[1][name]
        return {
            **describe(application),
            **self._host.applications.times(name)._asdict(),
            "streams": streams,
            "viewers": viewers,
        }

    def _counts(self) -> tuple[Counter[str], Counter[str]]:
        """Count the streams and the viewers of each application."""
        streams: Counter[str] = Counter()
        viewers: Counter[str] = Counter()
        for key, stream in self._host.hub.streams.items():
            streams[key.application] += 1
            viewers[key.application] += len(stream.viewers)
        return streams, viewers


def _refusal(request: IRequest, text: str, field: str, status: int) -> bytes:
    return reply(request, {"error": text, **({"field": field} if field else {})}, status)

"""The API's first use: making the administrator (P-102)."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from msgspec import Meta, Struct

from ntvmedia.accounts import AlreadySetUp, NameTaken, SlowDown, WrongField, describe_user
from ntvmedia.admin.operations import Answer, Call, Operations, operation
from ntvmedia.admin.owner import is_local
from ntvmedia.admin.problems import Problem
from ntvmedia.admin.users import Password, User, UserName


class SetupState(Struct, kw_only=True):
    """Whether the server has an administrator."""

    is_set_up: bool
    needs_code: Annotated[
        bool,
        Meta(description="Whoever asks has to show the setup code to become the administrator."),
    ]


class Setup(Struct, forbid_unknown_fields=True, kw_only=True):
    """The first administrator."""

    name: UserName
    password: Password
    code: Annotated[
        str,
        Meta(
            max_length=100,
            description="The setup code, from the log of the first start or the file `setup-code` "
            "in the data folder. Not needed on the machine itself, without a proxy.",
        ),
    ] = ""


class SetupOperations(Operations):
    """Setting the server up: once, and before anything else can be asked."""

    tag = "setup"
    refusals: ClassVar = {AlreadySetUp: 409, NameTaken: 409, WrongField: 400, SlowDown: 429}

    @operation("GET", "/setup", role=None, answers=SetupState)
    def state(self, call: Call) -> SetupState:
        """Say whether the server is set up."""
        is_set_up = self.host.accounts.is_set_up
        return SetupState(
            is_set_up=is_set_up, needs_code=not is_set_up and not self._is_owner(call)
        )

    @operation("POST", "/setup", role=None, body=Setup, answers=User, status=201, errors=(403,))
    async def set_up(self, call: Call) -> Answer:
        """Make the first administrator.

        For whoever shows the setup code, or asks on the machine itself without a proxy; once.
        """
        body: Setup = call.body
        accounts = self.host.accounts
        if accounts.is_set_up:
            raise AlreadySetUp("the server is set up already")
        if not self._is_owner(call) and not accounts.check_setup_code(body.code, call.peer_host):
            raise Problem(403, "code: this is not the setup code", "code")
        user = await accounts.set_up(body.name, body.password, peer=call.peer_host)
        return Answer(User(**describe_user(user)), 201)

    def _is_owner(self, call: Call) -> bool:
        """Say whether a request is the owner's, by where it comes from."""
        if getattr(call.identity, "kind", "") == "control":
            return True
        request: Any = call.request
        peer = str(getattr(request.getClientAddress(), "host", ""))
        return is_local(peer, request.requestHeaders, request.clientproto)

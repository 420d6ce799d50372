"""The applications that there are: in memory for every decision, in the database for good."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, replace
from functools import partial
from typing import Any, Final, NamedTuple
from unicodedata import normalize

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ntvmedia.access.applications import (
    BUILT_IN,
    FIELDS,
    MAX_SEGMENT_SECONDS,
    Application,
    describe,
    read_fields,
)
from ntvmedia.access.refusals import BuiltIn, NameInUse, NoApplication, WrongField
from ntvmedia.events import ApplicationChanged, EventBus
from ntvmedia.store import (
    ApplicationRow,
    Changes,
    Database,
    Duplicate,
    Note,
    StoreError,
    delete_application,
    insert_application,
    list_applications,
    move_access,
    take_note,
    update_application,
)

# More than any name has, before it is composed.
_MAX_NAME_LENGTH: Final = 1024


class Times(NamedTuple):
    """When an application was made and last changed, in seconds since 1970."""

    created_at: float
    updated_at: float


class Applications(Mapping[str, Application]):
    """All applications by name. Empty before `load`: who asks is refused (F-AC-10).

    They change as `ntvmedia.store.Changes` says. Used from the reactor thread only.

    Args:
        store: The database.
        events: Told of each change.
        wall_clock: Returns the seconds since 1970.
        reactor: As for `Changes`.
    """

    _log = Logger()

    def __init__(
        self,
        store: Database,
        events: EventBus,
        wall_clock: Callable[[], float],
        reactor: Any = None,
    ) -> None:
        self._events = events
        self._wall_clock = wall_clock
        self._applications: dict[str, Application] = {}
        self._times: dict[str, Times] = {}
        self._changes = Changes("applications", store, list_applications, self._read_again, reactor)

    def __getitem__(self, name: str) -> Application:
        return self._applications[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._applications)

    def __len__(self) -> int:
        return len(self._applications)

    def find(self, name: str) -> Application:
        """Return the application of a name that somebody typed.

        Raises:
            NoApplication: There is none.
        """
        application = self._applications.get(normalize("NFC", name[:_MAX_NAME_LENGTH]))
        if application is None:
            raise NoApplication(f"there is no application {_quoted(name)}")
        return application

    def times(self, name: str) -> Times:
        """Return when an application was made and changed.

        Raises:
            KeyError: There is none of this name.
        """
        return self._times[name]

    def load(self) -> None:
        """Read all from the database, instead of what is here; blocking, at the start.

        One that this program does not understand is left out, and so refuses everybody.

        Raises:
            ConfigError: The database cannot be read. What is here stays.
        """
        self._keep_all(self._changes.load())

    def add(
        self, name: str, fields: Mapping[str, object], *, note: Note | None = None
    ) -> Deferred[Application]:
        """Make an application.

        Args:
            name: The new name.
            fields: Values for the others, as for `read_fields`; defaults for the rest.
            note: Written with the change; it is shown what `describe` shows.

        Returns:
            Fires with it when it is in the database and here. Fails with `WrongField` or
            `NameInUse`: nothing has changed then; or with `StoreError`: nothing has changed here,
            until it is known what the database has. Cancelling it leaves the change alone.
        """
        return self._changes.in_turn(partial(self._add, name, dict(fields), note))

    def change(
        self, name: str, fields: Mapping[str, object], *, note: Note | None = None
    ) -> Deferred[Application]:
        """Give an application other values, a new "name" too.

        The rules of access that name it go with it.

        Args:
            name: Its name so far.
            fields: What changes, as for `read_fields`.
            note: As for `add`.

        Returns:
            As for `add`; also fails with `NoApplication` and `BuiltIn`.
        """
        return self._changes.in_turn(partial(self._change, name, dict(fields), note))

    def remove(self, name: str, *, note: Note | None = None) -> Deferred[None]:
        """Delete an application, and the rules of access that name it.

        Args:
            name: Its name.
            note: As for `add`.

        Returns:
            Fires when it is gone. Fails with `NoApplication`, `BuiltIn` or `StoreError`.
        """
        return self._changes.in_turn(partial(self._remove, name, note))

    async def _add(self, name: str, raw: dict[str, object], note: Note | None) -> Application:
        if "name" in raw:
            raise WrongField("given twice", "name")
        application = Application(**read_fields({"name": name, **raw}))
        if application.name in self._applications:
            raise _in_use(application.name)
        now = self._wall_clock()
        row = _row_of(application, Times(now, now))

        def work(connection: Any) -> None:
            insert_application(connection, row)
            take_note(note, connection, None, describe(application))

        await self._save(application, work)
        self._keep(row, application)
        self._log.info("application {name} was added", name=application.name)
        self._events.emit(ApplicationChanged(application.name, application.name))
        return application

    async def _change(self, name: str, raw: dict[str, object], note: Note | None) -> Application:
        before = self.find(name)
        name = before.name
        application = replace(before, **read_fields(raw))
        if name in BUILT_IN:
            for what in ("name", "type"):
                if getattr(application, what) != getattr(before, what):
                    raise BuiltIn(f'application "{name}" is built in: its {what} stays')
        if application == before:
            return before
        if application.name != name and application.name in self._applications:
            raise _in_use(application.name)
        times = self._times[name]
        # The clock may have been set back; no change is older than the application.
        row = _row_of(application, Times(times[0], max(times[0], self._wall_clock())))

        def work(connection: Any) -> None:
            if not update_application(connection, name, row):
                raise _gone(name)
            if row.name != name:
                move_access(connection, name, row.name)
            take_note(note, connection, describe(before), describe(application))

        await self._save(application, work)
        del self._applications[name], self._times[name]
        self._keep(row, application)
        changed = [what for what in FIELDS if getattr(application, what) != getattr(before, what)]
        # What a password was changed to is nobody's business; that it was, is.
        self._log.info("application {name} was changed: {changed}", name=name, changed=changed)
        self._events.emit(ApplicationChanged(name, application.name))
        return application

    async def _remove(self, name: str, note: Note | None) -> None:
        application = self.find(name)
        name = application.name
        if name in BUILT_IN:
            raise BuiltIn(f'application "{name}" is built in: it can be disabled, not deleted')

        def work(connection: Any) -> None:
            if not delete_application(connection, name):
                raise _gone(name)
            move_access(connection, name, None)
            take_note(note, connection, describe(application), None)

        await self._save(application, work)
        del self._applications[name], self._times[name]
        self._log.info("application {name} was deleted", name=name)
        self._events.emit(ApplicationChanged(name, None))

    async def _save(self, application: Application, work: Callable[[Any], None]) -> None:
        try:
            await self._changes.commit(work, f"application {application.name}")
        except Duplicate:
            raise _in_use(application.name) from None

    def _read_again(self, rows: list[ApplicationRow]) -> None:
        before = self._applications
        self._keep_all(rows)
        after = self._applications
        # Who is told finds all of them as they are now.
        for name in [name for name in before if name not in after]:
            self._log.info("application {name} is gone from the database", name=name)
            self._events.emit(ApplicationChanged(name, None))
        for name in [name for name in after if after[name] != before.get(name)]:
            self._log.info("application {name} was changed in the database", name=name)
            self._events.emit(ApplicationChanged(name, name))

    def _keep_all(self, rows: list[ApplicationRow]) -> None:
        applications: dict[str, Application] = {}
        times: dict[str, Times] = {}
        for row in rows:
            try:
                application = _application_of(row)
            except WrongField as error:
                self._log.error(
                    "application {name} is not served: {error}", name=ascii(row.name), error=error
                )
            else:
                applications[application.name] = application
                times[application.name] = Times(row.created_at, row.updated_at)
        self._applications, self._times = applications, times

    def _keep(self, row: ApplicationRow, application: Application) -> None:
        self._applications[application.name] = application
        self._times[application.name] = Times(row.created_at, row.updated_at)


def _application_of(row: ApplicationRow) -> Application:
    values = asdict(row)
    # Versions before this one took up to 30 s, and made segments of at most this length.
    values["hls_segment_seconds"] = min(row.hls_segment_seconds, MAX_SEGMENT_SECONDS)
    return Application(**read_fields({name: values[name] for name in FIELDS}))


def _row_of(application: Application, times: Times) -> ApplicationRow:
    values = asdict(application)
    # The store keeps primitive values.
    values["type"] = application.type.value
    return ApplicationRow(**values, **times._asdict())


def _in_use(name: str) -> NameInUse:
    return NameInUse(f"there is an application {_quoted(name)} already")


def _gone(name: str) -> StoreError:
    return StoreError(f"the database has no application {_quoted(name)} any more")


def _quoted(name: str) -> str:
    shown = name[:60]
    return f'"{shown}"' if shown.isprintable() else ascii(shown)

"""Pages of lists: what clients ask for, and how lists that are in memory are cut."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Final, Generic, NamedTuple, TypeVar

from msgspec import Meta, Struct

from ntvmedia.admin.problems import Problem

MAX_PAGE_SIZE: Final = 500
"""Some 500 kB of JSON: what a page of a console shows at once, and more."""

_T = TypeVar("_T")


class Paging(Struct, forbid_unknown_fields=True, kw_only=True):
    """Which page of a list. Queries of lists extend this."""

    page: Annotated[int, Meta(ge=1, le=1_000_000, description="From 1.")] = 1
    page_size: Annotated[int, Meta(ge=1, le=MAX_PAGE_SIZE, description="Items of a page.")] = 50
    sort: Annotated[
        str, Meta(max_length=64, description="A field; with `-` before it from the last.")
    ] = ""
    q: Annotated[
        str, Meta(max_length=256, description="Only what has this text in it, in either case.")
    ] = ""

    @property
    def offset(self) -> int:
        """How many items are before the page."""
        return (self.page - 1) * self.page_size


class Page(Struct, kw_only=True):
    """What every list says of itself. Answers of lists extend this."""

    total: Annotated[int, Meta(ge=0, description="Items of all pages.")]
    page: Annotated[int, Meta(ge=1, description="Which one this is.")]
    page_size: Annotated[int, Meta(ge=1, description="Items of a full page.")]


class Cut(NamedTuple, Generic[_T]):
    """The items of one page.

    Attributes:
        items: In order.
        numbers: For the fields of `Page`: `StreamList(streams=cut.items, **cut.numbers)`.
    """

    items: list[_T]
    numbers: dict[str, int]


def numbers(query: Paging, total: int) -> dict[str, int]:
    """Return the fields of `Page`, for a list that the database has cut."""
    return {"total": total, "page": query.page, "page_size": query.page_size}


def sort_key(query: Paging, names: Iterable[str], default: str) -> tuple[str, bool]:
    """Return what a list is sorted by, and whether from the last.

    Args:
        query: As asked.
        names: What it may be sorted by.
        default: Where nothing is asked for; it may begin with "-".

    Raises:
        Problem: 400, it cannot be sorted by this.
    """
    asked = query.sort or default
    name = asked.removeprefix("-")
    names = list(names)
    if name not in names:
        raise Problem(400, f"sort: expected one of {', '.join(names)}", "sort")
    return name, asked.startswith("-")


def paged(
    items: Iterable[_T],
    query: Paging,
    keys: Mapping[str, Callable[[_T], Any]],
    *,
    search: Callable[[_T], str] | None = None,
    default: str = "",
    in_order: bool = False,
) -> Cut[_T]:
    """Filter, sort and cut a list that is in memory.

    Args:
        items: All of them.
        query: As asked.
        keys: What it may be sorted by: functions whose results can be compared, by name.
        search: Returns the text that `q` is looked for in; by default the keys that are text.
        default: What it is sorted by where nothing is asked for; by default the first of the keys.
        in_order: The items are sorted so already.

    Raises:
        Problem: 400, `sort` names none of the keys.
    """
    order = default or next(iter(keys))
    name, is_reversed = sort_key(query, keys, order)
    found = items if isinstance(items, list) else list(items)
    if query.q:
        wanted = query.q.casefold()
        text = search or _texts(keys)
        found = [item for item in found if wanted in text(item).casefold()]
    if not in_order or query.sort not in ("", order):
        found = sorted(found, key=keys[name], reverse=is_reversed)
    return Cut(found[query.offset : query.offset + query.page_size], numbers(query, len(found)))


def _texts(keys: Mapping[str, Callable[[_T], Any]]) -> Callable[[_T], str]:
    def text(item: _T) -> str:
        values = [key(item) for key in keys.values()]
        return "\n".join(value for value in values if isinstance(value, str))

    return text

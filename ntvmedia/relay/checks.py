"""Whether the fields of a relay task go together."""

from __future__ import annotations

from dataclasses import replace
from unicodedata import normalize

from ntvmedia.access.refusals import WrongField
from ntvmedia.errors import Refused
from ntvmedia.media.names import stream_key
from ntvmedia.relay.addresses import LOCAL_SCHEME, STAND_IN, fill_in, local_key, scheme_of
from ntvmedia.relay.parts import WILDCARD
from ntvmedia.relay.task import Relay, keys


def check(relay: Relay) -> Relay:
    """Return it, if its fields go together.

    Raises:
        WrongField: They do not.
    """
    relay = _composed(relay)
    _check_outputs(relay)
    target = relay.target
    for name in ("application", "stream"):
        if not getattr(target, name):
            raise WrongField("is missing", f"target.{name}")
    if target.server:
        _check_other_server(relay)
    else:
        _check_names(relay)
    _check_sources(relay)
    return relay


def _check_outputs(relay: Relay) -> None:
    for number, output in enumerate(relay.outputs):
        if output.video.codec == output.audio.codec == "none":
            where = f"renditions[{number - 1}].audio.codec" if number else "audio.codec"
            raise WrongField("with no video there has to be audio", where)


def _check_other_server(relay: Relay) -> None:
    for name in ("on_demand", "renditions"):
        if getattr(relay, name):
            raise WrongField("only with this server as the target", name)


def _check_names(relay: Relay) -> None:
    target = relay.target
    if target.query:
        raise WrongField("only with another server as the target", "target.query")
    if WILDCARD in target.stream and not relay.on_demand:
        raise WrongField(f"a {WILDCARD} needs on_demand", "target.stream")
    names: set[str] = set()
    for number, name in enumerate(relay.streams):
        where = f"renditions[{number - 1}].stream" if number else "target.stream"
        if not name:
            raise WrongField("is missing", where)
        if name.count(WILDCARD) > 1:
            raise WrongField(f"has more than one {WILDCARD}", where)
        if relay.is_pattern and WILDCARD not in name:
            raise WrongField(f"needs a {WILDCARD}, as target.stream has one", where)
        if WILDCARD in name and not relay.is_pattern:
            raise WrongField(f"has a {WILDCARD}, and target.stream has none", where)
        try:
            stream_key(target.application, name.replace(WILDCARD, "x"))
        except Refused as error:
            is_application = str(error).startswith("application")
            raise WrongField(
                str(error), "target.application" if is_application else where
            ) from None
        if name in names:
            raise WrongField("is the name of another stream of this task", where)
        names.add(name)


def _check_sources(relay: Relay) -> None:
    if not relay.source:
        raise WrongField("is missing", "source")
    if len(set(relay.sources)) < len(relay.sources):
        raise WrongField("a source is given twice", "fallbacks")
    own = () if relay.target.server else keys(relay, "x")
    for number, source in enumerate(relay.sources):
        where = "fallbacks" if number else "source"
        if STAND_IN in source and not relay.is_pattern:
            raise WrongField(f"{STAND_IN} is for a target.stream with {WILDCARD}", where)
        if scheme_of(source) == LOCAL_SCHEME and local_key(fill_in(source, "x")) in own:
            raise WrongField("is a stream that this task makes: it would go round", where)
    if relay.is_pattern and STAND_IN not in relay.source:
        clause = f"has no {STAND_IN}, so that all streams of target.stream would be the same"
        raise WrongField(clause, "source")


def _composed(relay: Relay) -> Relay:
    """Return it with names as they are looked for (NFC), where they are streams of this server."""
    target = relay.target
    if target.server:
        return relay
    names = {x: normalize("NFC", getattr(target, x)) for x in ("application", "stream")}
    renditions = tuple(replace(x, stream=normalize("NFC", x.stream)) for x in relay.renditions)
    return replace(relay, target=replace(target, **names), renditions=renditions)

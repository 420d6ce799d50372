"""The API's health of a stream: what is wrong with it, and what to do."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from msgspec import Meta, Struct

from ntvmedia.accounts import Role
from ntvmedia.admin.operations import Call, Operations, operation
from ntvmedia.admin.problems import Problem
from ntvmedia.hub.health import Rules
from ntvmedia.media.names import BadName, stream_key


class FindingShown(Struct, kw_only=True):
    """One thing that is wrong with a stream."""

    code: Annotated[str, Meta(description="A word for programs, the same for the same thing.")]
    severity: Annotated[
        Literal["info", "warning", "error"],
        Meta(description="Could be better; some viewers notice; all do, or get nothing."),
    ]
    text: Annotated[str, Meta(description="What is wrong, one sentence.")]
    advice: Annotated[str, Meta(description="What to do, one sentence.")]


class Health(Struct, kw_only=True):
    """How a stream is."""

    application: str
    stream: str
    state: Annotated[str, Meta(description="As of the stream.")]
    healthy: Annotated[bool, Meta(description="Nothing is found, or nothing that viewers notice.")]
    observed_seconds: Annotated[
        float, Meta(ge=0, description="How far back it is looked, a minute at most.")
    ]
    findings: Annotated[list[FindingShown], Meta(description="The worst first.")]


class HealthOperations(Operations):
    """How streams are."""

    tag = "streams"
    refusals: ClassVar = {BadName: 404}

    @operation("GET", "/streams/{application}/{stream}/health", role=Role.VIEWER, answers=Health)
    def health(self, call: Call) -> Health:
        """Show what is wrong with a stream, and what to do.

        Found is: no or rare keyframes, B-frames where low latency is set, sound and pictures apart
        or one of them missing, a bit rate over the limit or near it, codecs that browsers do not
        play, timestamps that jump, and a publisher whose network stalls or does not keep up.
        """
        key = stream_key(call.path["application"], call.path["stream"])
        stream = self.host.hub.streams.get(key)
        if stream is None:
            raise Problem(404, f"{key} is not published", kind="no-stream")
        watch = self.host.statistics.health
        found = [
            FindingShown(**{**finding._asdict(), "severity": finding.severity.value})
            for finding in watch.findings(stream, self._rules(key.application))
        ]
        return Health(
            application=key.application,
            stream=key.stream,
            state=stream.state.value,
            healthy=all(finding.severity == "info" for finding in found),
            observed_seconds=round(watch.observed_seconds(stream), 1),
            findings=found,
        )

    def _rules(self, name: str) -> Rules:
        settings: Any = self.host.settings.hub
        application = self.host.applications.get(name)
        return Rules(
            low_latency=settings.latency == "low"
            or (application is not None and application.hls_format == "ll"),
            most_kbps=settings.max_publisher_bitrate_kbps,
        )

"""The child process: `python -m ntvmedia.avtools.worker PID`, which `process` starts.

It does one job, of `ntvmedia.avtools.job`, and ends; how it speaks with its parent, whose process
id it is given, is in `ntvmedia.avtools.framing`. FFmpeg writes what it has to complain of to the
standard error.
"""

from __future__ import annotations

import os
import sys

from ntvmedia.avtools import limits
from ntvmedia.avtools.framing import FrameType, build_error, build_frame
from ntvmedia.avtools.job import read_job
from ntvmedia.avtools.streams import FrameSink, FrameSource
from ntvmedia.errors import RemoteError


def main() -> int:
    """Do one job, and return the status to end with."""
    limits.leave_parent(int(sys.argv[1]))
    given, told = FrameSource(0), FrameSink(1)
    frame = given.read()
    if frame is None or frame.type is not FrameType.JOB:
        return 1
    job = read_job(frame.body)
    # Here, not at the top: a process whose parent is gone is spared it, as are our tests.
    from ntvmedia.avtools.doing import run

    limits.apply(job.limits)
    try:
        run(job, given, told)
        told.tell(build_frame(FrameType.ENDED))
    except BrokenPipeError:
        return 1
    except RemoteError as error:
        told.tell(build_error(error))
    except MemoryError:
        allowed = job.limits.memory_bytes >> 20
        message = f"the helper process needs more than the {allowed} MiB that it may have"
        told.tell(build_error(RemoteError(message)))
    return 0


if __name__ == "__main__":
    status = main()
    # At once: threads may still wait for a network, and nothing is left to tidy up.
    os._exit(status)

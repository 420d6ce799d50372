"""Root at work in a server's folder: with the rights of whom that belongs to, and no others.

Whoever owns the folder may have put anything there under any name: links to files of the system,
say. What root then read, wrote or made the owner's through them, he could not have himself.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def rights_of_owner(folder: Path) -> Iterator[None]:
    """Act as the owner of a folder, where root acts; files that are made belong to him.

    Of a folder that is not there, and of one of root's own, nothing changes; nor does it for
    whoever is not root. It counts for the whole process, so that no other thread may run.

    Raises:
        OSError: The folder cannot be looked at.
    """
    if os.geteuid() != 0 or not folder.exists():
        yield
        return
    owner = folder.stat()
    if owner.st_uid == 0:
        yield
        return
    group, groups = os.getegid(), os.getgroups()
    # The user last, and first to come back: only root may change the groups.
    os.setgroups([owner.st_gid])
    os.setegid(owner.st_gid)
    os.seteuid(owner.st_uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(group)
        os.setgroups(groups)

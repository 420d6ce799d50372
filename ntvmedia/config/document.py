"""Write `docs/configuration.md` from the sections: `python -m ntvmedia.config.document`."""

from __future__ import annotations

import sys
from typing import Final

from ntvmedia.config.reading import Network, PortRange, Setting, describe_section
from ntvmedia.config.settings import SECTIONS

_INTRODUCTION: Final = """\
# Configuration

<!-- Made by `python -m ntvmedia.config.document > docs/configuration.md`; a test compares. -->

Everything has a default: a server without any configuration works. Settings are read from a TOML
file (`--config FILE`), and single ones are given on the command line, which wins:

```toml
# ntv.toml
[hub]
latency = "low"

[rtmp]
listen = ["tcp:1935", "tcp:1936:interface=127.0.0.1"]
```

```sh
script/server --config ntv.toml --set hub.publish_policy=takeover --set http.listen=tcp:80
```

| option | what it does |
|---|---|
| `--config FILE` | reads settings from a TOML file |
| `--data DIR` | the folder for what the server keeps; `./data` unless given, made when missing |
| `--set SECTION.KEY=VALUE` | sets one setting; may be repeated |
| `--check` | checks all of it and exits: with status 0, or with one line and status 1 |
| `--grace SECONDS` | how long viewers and publishers may take when the server stops; 10 |
| `--version` | prints the version |

A wrong setting is one line that names it and what is allowed, and status 1; nothing is started.

* Times are numbers of **seconds**, with a fraction where wanted.
* Sizes are numbers of bytes, or text with a unit of 1024: `"64KiB"`, `"8MiB"`, `"1GiB"`.
* A list may be a single value. On the command line a list is written as in TOML: `["a", "b"]`.
* To `listen` on a port, `tcp:8080` means IPv4 and IPv6 on all interfaces (IPv4 alone where the
  system has no IPv6). `tcp:8080:interface=127.0.0.1` is one interface, `unix:/run/ntv.sock` a
  socket, and [Twisted's manual](https://docs.twisted.org/en/stable/core/howto/endpoints.html#servers)
  has the others. Empty text turns the listener off.

SIGHUP reads the certificates again and reopens the log file. Everything else needs a restart.
"""


def configuration_page() -> str:
    """Return the whole page."""
    parts = [_INTRODUCTION]
    for name, section in SECTIONS.items():
        parts.append(f"## `[{name}]`\n")
        parts.append(f"{(section.__doc__ or '').strip()}\n")
        parts.append("| key | default | allowed | |\n|---|---|---|---|")
        parts.extend(_row(item) for item in describe_section(section))
        parts.append("")
    return "\n".join(parts)


def _row(item: Setting) -> str:
    cells = (f"`{item.key}`", f"`{_shown(item)}`", item.expected, item.rule.text)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _shown(item: Setting) -> str:
    value = item.default
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple) and not isinstance(value, PortRange):
        value = value[0] if len(value) == 1 else list(value)
    if isinstance(value, str | Network | PortRange):
        return f'"{value}"'
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, int) and value >= 1 << 20 and value % (1 << 20) == 0:
        return f'"{value >> 20}MiB"'
    return str(value)


if __name__ == "__main__":
    sys.stdout.write(configuration_page())

"""What an installed ntvmedia consists of, and what it declares to need."""

from __future__ import annotations

import ast
import configparser
import re
import shutil
import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# What a build reads, and nothing that lies in a working copy by chance.
_SOURCES = ("LICENSE", "README.md", "ntvmedia", "pyproject.toml", "setup.cfg", "twisted")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    """The wheel that `pip` builds of this checkout."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in _SOURCES:
        if (ROOT / name).is_dir():
            ignored = shutil.ignore_patterns("__pycache__", "dropin.cache")
            shutil.copytree(ROOT / name, folder / "source" / name, ignore=ignored)
        else:
            (folder / "source").mkdir(exist_ok=True)
            shutil.copy(ROOT / name, folder / "source")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "wheel"]
    command = [*pip, "--quiet", "--no-deps", "--no-build-isolation", "--wheel-dir", str(folder)]
    done = subprocess.run(
        [*command, str(folder / "source")], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    (path,) = folder.glob("*.whl")
    return zipfile.ZipFile(path)


def test_wheel(wheel: zipfile.ZipFile) -> None:
    """All of the package and the plugin are in it; the tests are not, nor Twisted's own package."""
    with wheel:
        names = set(wheel.namelist())
        assert "twisted/plugins/ntvmedia_plugin.py" in names
        assert "ntvmedia/tap.py" in names
        assert "ntvmedia/py.typed" in names
        assert not {"twisted/__init__.py", "twisted/plugins/__init__.py"} & names
        assert not [name for name in names if name.startswith(("tests/", "bench/", "docs/"))]
        ours = [x for x in (ROOT / "ntvmedia").rglob("*") if x.is_file()]
        wanted = {str(x.relative_to(ROOT)) for x in ours if "__pycache__" not in x.parts}
        assert wanted <= names
        packages = {path.parent.name for path in (ROOT / "ntvmedia").glob("*/__init__.py")}
        assert {name.split("/")[1] for name in names if name.count("/") > 1} >= packages
        (entry_points,) = (name for name in names if name.endswith("/entry_points.txt"))
        assert "ntvmedia = ntvmedia.cli.main:main" in wheel.read(entry_points).decode()
        assert any(name.endswith("/LICENSE") for name in names)


def test_twistd_knows_the_plugin() -> None:
    """`twistd --help` lists ntvmedia, and `twistd ntvmedia --help` its options."""
    twistd = Path(sys.executable).with_name("twistd")
    for arguments, text in [
        (["--help"], "ntvmedia         A streaming media server."),
        (["ntvmedia", "--help"], "--grace="),
    ]:
        done = subprocess.run(
            [twistd, *arguments], cwd=ROOT, check=False, capture_output=True, text=True
        )
        assert text in done.stdout, done.stderr


def requirements(section: str, key: str) -> set[str]:
    """Return the names of distributions that setup.cfg requires, as the index spells them."""
    config = configparser.ConfigParser()
    config.read(ROOT / "setup.cfg", "utf-8")
    lines = config[section][key].split("\n")
    return {_name(re.split(r"[\[<>=,; ]", line)[0]) for line in lines if line.strip()}


def _name(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def imported(folder: Path) -> set[str]:
    """Return the distributions whose modules a folder imports."""
    roots: set[str] = set()
    for path in folder.rglob("*.py"):
        if "node_modules" in path.parts:
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                roots.update(alias.name.partition(".")[0] for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                roots.add(node.module.partition(".")[0])
    # "gi" is Debian's, for the scripts that Debian's own Python runs.
    ours = {"ntvmedia", "tests", "bench", "gi"}
    outside = roots - set(sys.stdlib_module_names) - ours
    # "zope" and "twisted" are shared by several distributions: what setup.cfg names is enough.
    known = {
        "twisted": ["twisted"],
        "zope": ["zope.interface"],
        "hypothesis": ["hypothesis"],
    }
    providers = {**packages_distributions(), **known}
    return {_name(providers[root][0]) for root in outside}


def test_requirements() -> None:
    """What the server imports is what it requires: nothing by chance, nothing in vain."""
    always = requirements("options", "install_requires")
    on_wish = requirements("options.extras_require", "postgresql")
    assert imported(ROOT / "ntvmedia") == always | on_wish


def test_requirements_of_the_tests() -> None:
    """What the tests import besides is in the extra that script/setup installs for them."""
    needed = imported(ROOT / "tests") - requirements("options", "install_requires")
    assert needed <= requirements("options.extras_require", "test")

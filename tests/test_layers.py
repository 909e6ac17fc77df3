"""The import rules of the house, read from the source with `ast`."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

WITH_IO = {
    "asyncio", "os", "time", "socket", "threading", "logging", "subprocess", "signal", "select",
    "selectors", "ssl", "multiprocessing", "concurrent", "io", "pathlib", "shutil", "tempfile",
    "datetime", "http", "urllib",
}  # fmt: skip
"""Parts of the standard library that reach outside, wait, or read the clock."""

STDLIB = set(sys.stdlib_module_names)

Rule = tuple[set[str], set[str]]
"""(what may be imported besides the standard library, what of the standard library may not)"""

SEAM = {
    "realtime.backends.base",
    "realtime.backends.base_boards",
    "realtime.backends.base_channels",
    "realtime.backends.base_limits",
    "realtime.backends.keys",
    "realtime.backends.livenames",
}
CONCRETE = {
    "realtime.backends.embedded",
    "realtime.backends.embedded_boards",
    "realtime.backends.embedded_channels",
    "realtime.backends.embedded_limits",
    "realtime.backends.embedded_departures",
    "realtime.backends.redis",
}
ROOTS = {"realtime.app", "realtime.embedded"}
"""Composition roots: they know everybody; nobody but the command line knows them."""

RULES: dict[str, Rule] = {
    "engine": ({"engine", "sortedcontainers"}, WITH_IO),
    "engine/limits": ({"engine.limits", "engine.errors"}, WITH_IO),
    "engine/persistence": ({"engine"}, WITH_IO - {"os", "io", "pathlib"}),
    "realtime/backends": (
        {
            "engine",
            *SEAM,
            "realtime.backends.embedded_boards",
            "realtime.backends.embedded_channels",
            "realtime.backends.embedded_limits",
            "realtime.backends.embedded_departures",
        },
        set(),
    ),
    "realtime/backends/redis": (
        {"engine", *SEAM, "realtime.backends.redis", "redis", "hiredis", "msgspec"},
        set(),
    ),
    "realtime/services": (
        {
            "realtime.backends",
            "realtime.services",
            "realtime.errors",
            "realtime.rate",
            "msgspec",
            "cronsim",
        },
        {"socket", "threading", "os"},
    ),
    "realtime/http": ({"realtime", "starlette", "msgspec", "prometheus_client"}, {"socket"}),
    "realtime/http/server_api": ({"realtime", "msgspec"}, {"socket"}),
    "realtime/ws": ({"realtime", "starlette", "websockets", "msgspec", "uvicorn"}, set()),
    "realtime/middleware": ({"realtime", "starlette", "httpx"}, set()),
    "realtime/webhooks": ({"realtime", "httpx", "msgspec"}, {"socket", "threading"}),
}


def imports(path: Path) -> Iterator[str]:
    """Every module that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            assert node.module is not None
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def within(module: str, names: set[str]) -> bool:
    return any(module == name or module.startswith(name + ".") for name in names)


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).glob("*.py"))


@pytest.mark.parametrize("folder", RULES)
def test_a_layer_imports_only_what_it_may(folder: str) -> None:
    allowed, forbidden = RULES[folder]
    for path in files(folder):
        for module in imports(path):
            top = module.partition(".")[0]
            if top in STDLIB:
                assert top not in forbidden, f"{path} imports {module}"
            else:
                assert within(module, allowed), f"{path} imports {module}"


def test_the_core_does_not_know_who_writes_it_down() -> None:
    for path in files("engine"):
        for module in imports(path):
            assert not within(module, {"engine.persistence"}), f"{path} imports {module}"


@pytest.mark.parametrize("door", ["http", "http/server_api", "ws", "middleware", "webhooks"])
def test_doors_reach_the_store_only_through_services(door: str) -> None:
    for path in files(f"realtime/{door}"):
        for module in imports(path):
            assert not within(module, {"engine"} | CONCRETE), f"{path} imports {module}"
            own = f"realtime.{door.partition('/')[0]}"
            others = {"realtime.http", "realtime.ws", "realtime.middleware"} - {own}
            assert not within(module, others), f"{path} imports another door: {module}"


@pytest.mark.parametrize("folder", ["realtime/services", "realtime/http", "realtime/ws"])
def test_nobody_below_knows_the_composition_roots(folder: str) -> None:
    for path in files(folder):
        for module in imports(path):
            assert not within(module, ROOTS), f"{path} imports {module}"


def test_the_seam_takes_values_from_the_engine_and_no_behaviour() -> None:
    values = {"channel", "departures", "errors", "limits", "ranking", "sessions", "standings"}
    for module in imports(ROOT / "realtime/backends/base.py"):
        if within(module, {"engine"}):
            assert module.split(".")[1] in values, module


def test_parsers_know_nothing_of_ours_but_errors() -> None:
    for module in imports(ROOT / "realtime/ws/messages.py"):
        assert not within(module, {"asyncio", "websockets", "uvicorn"}), module
        assert not within(module, {"realtime"}) or within(module, {"realtime.errors"}), module


def test_a_service_loads_no_client_of_others_unless_it_is_told_to() -> None:
    """They would be a quarter of the time that it takes to start."""
    code = (
        "import asyncio, sys\n"
        "from realtime.app import Application\n"
        "from realtime.settings import Settings\n"
        "async def main(): Application(Settings(data=None))\n"
        "asyncio.run(main())\n"
        "print(*{'redis', 'httpx'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("\n", "")

"""The tour of the README, pasted line by line, gives the answers printed there."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from tests.service import Service, running_service

README = Path(__file__).parent.parent / "README.md"
MARK = "—end of an answer—"

Step = tuple[str, str]
"""(command, what it prints; … stands for anything)"""


def tour(page: Path = README) -> list[Step]:
    """The commands of every console block, each with the lines under it."""
    steps: list[Step] = []
    for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                steps.append((line[2:], ""))
            else:
                command, printed = steps[-1]
                steps[-1] = (command, printed + line + "\n")
    return steps


def paste(commands: list[str], service: Service) -> list[str]:
    """What one shell prints for each command, the service's address put in for the default."""
    script = "\n".join(f"{command}\necho; echo {MARK}" for command in commands)
    script = script.replace("localhost:8080", f"127.0.0.1:{service.port}")
    done = subprocess.run(
        ["bash", "-s"], input=script, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.split(MARK + "\n")[:-1]


def matches(expected: str, printed: str) -> bool:
    pattern = ".*".join(re.escape(part) for part in expected.strip().split("…"))
    return re.fullmatch(pattern, printed.strip()) is not None


def test_the_tour_gives_the_answers_printed_there(tmp_path: Path) -> None:
    steps = tour()
    assert len(steps) > 15
    with running_service(tmp_path) as service:
        answers = paste([command for command, _ in steps], service)
    for (command, expected), printed in zip(steps, answers, strict=True):
        assert matches(expected, printed), f"$ {command}\n{printed}\nREADME says\n{expected}"

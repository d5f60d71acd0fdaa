"""Prints the oldest packages that pyproject.toml allows, as pip takes them, one a line."""

import tomllib
from pathlib import Path

project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
for line in (*project["dependencies"], *project["optional-dependencies"]["experiments"]):
    print(line.replace(">=", "=="))

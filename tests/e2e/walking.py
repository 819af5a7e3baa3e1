"""Runs `walk.sh` on a shop."""

import os
import subprocess

from shared.config import ROOT
from stack.processes import PROCESSES
from tests.e2e.shop import Shop
from tests.system.running import KEPT

WALK = ROOT / "tests" / "e2e" / "walk.sh"
SECONDS = 600.0  # for hanging only: on a busy machine a walk may take minutes
Done = subprocess.CompletedProcess[str]


def environment(shop: Shop) -> dict[str, str]:
    """Return the environment of a program that gets the services' URLs, and no other settings."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | {PROCESSES[name].url_setting: url for name, url in shop.urls.items()}


def walk_through(shop: Shop, **env: str) -> Done:
    """Return the result of `walk.sh`, with these additional settings."""
    everything = environment(shop) | env
    return subprocess.run([WALK], env=everything, capture_output=True, text=True, check=False, timeout=SECONDS)

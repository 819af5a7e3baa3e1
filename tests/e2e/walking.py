"""`walk.sh`, run through a shop."""

import os
import subprocess

from shared.config import ROOT
from stack.processes import PROCESSES
from tests.e2e.shop import Shop
from tests.system.running import KEPT

WALK = ROOT / "tests" / "e2e" / "walk.sh"
SECONDS = 120  # so that nothing hangs
Done = subprocess.CompletedProcess[str]


def environment(shop: Shop) -> dict[str, str]:
    """Of a program that is told where the services are, and nothing else."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return kept | {PROCESSES[name].url_setting: url for name, url in shop.urls.items()}


def walk_through(shop: Shop, **env: str) -> Done:
    """What came of the walk, with this added to its environment."""
    everything = environment(shop) | env
    return subprocess.run([WALK], env=everything, capture_output=True, text=True, check=False, timeout=SECONDS)

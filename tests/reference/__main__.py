"""`python -m tests.reference` writes every generated file of `docs/`: the reference, and the drawing of both styles."""

import os
import sys

from shared.config import ROOT
from tests.reference.files import FILES


def main() -> int:
    """Write all files; print those that changed."""
    os.environ.setdefault("LOG_LEVEL", "WARNING")
    for path, text_of in FILES.items():
        file, text = ROOT / path, text_of()
        if not file.exists() or file.read_text() != text:
            file.parent.mkdir(exist_ok=True)
            file.write_text(text)
            print(f"written: {path}")
    return 0


sys.exit(main())

"""`python -m tests.golden [CODE...]`: write the transcripts anew."""

from __future__ import annotations

import sys

from tests.golden.kit import FOLDER, codes, transcript

for code in sys.argv[1:] or codes():
    (FOLDER / f"{code}.txt").write_text(transcript(code), encoding="utf-8")

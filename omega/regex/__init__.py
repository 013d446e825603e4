"""Regular expressions that cannot hang whoever runs them: linear in the text, paid for in steps.

The syntax is in syntax.py; what a pattern means is what it means to Python's `re`. No Lisp here:
the language and the scripted provider both stand on it.
"""

from __future__ import annotations

from omega.regex.search import Match as Match
from omega.regex.search import Regex as Regex
from omega.regex.syntax import RegexError as RegexError

"""What the parts of the library define: written by `python docs/generate.py`.

Owns: PARTS, part -> (its procedures and variables, its macros), so that none needs to be read
before a program names something of it.
"""

PARTS: dict[str, tuple[str, str]] = {}

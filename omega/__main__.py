"""`python -m omega`: the command line."""

import sys

try:
    from omega.cli.main import main

    sys.exit(main())
except KeyboardInterrupt:  # before it is heard: Python would show where in an import it came
    sys.exit(130)

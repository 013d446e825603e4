"""`python -m omega`: the command line."""

import sys

from omega.cli.main import main

sys.exit(main())

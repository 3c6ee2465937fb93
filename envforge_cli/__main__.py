"""`python -m envforge_cli` is `envforge`."""

import sys

from envforge_cli.main import main

sys.exit(main())

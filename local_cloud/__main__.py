"""The commands of ./dev, once every package is installed."""

import os
import sys

from local_cloud.cli import main

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))

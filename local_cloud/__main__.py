"""The commands of ./dev, once every package is installed."""

import os
import sys

from local_cloud.cli import main
from local_cloud.environment import ambient
from local_cloud.home import ORDINARY_UMASK

if __name__ == "__main__":
    caller = dict(os.environ)
    os.umask(ORDINARY_UMASK)
    # libpq and botocore read the environment by themselves; what is set there means other servers than ours.
    for name in [name for name in os.environ if name.startswith(("PG", "AWS_"))]:
        del os.environ[name]
    os.environ.update(ambient(caller))
    sys.exit(main(sys.argv[1:], caller))

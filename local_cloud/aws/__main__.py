"""`python -m local_cloud.aws --port P --state DIR`: the local cloud's AWS endpoint."""

import argparse
import os
import sys
from pathlib import Path


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m local_cloud.aws", description="The local cloud's AWS endpoint."
    )
    parser.add_argument("--port", type=int, required=True, help="the port on 127.0.0.1 to listen on")
    parser.add_argument(
        "--state", type=Path, required=True, metavar="DIR", help="where state is kept, made if missing"
    )
    parser.add_argument(
        "--root-key-file",
        type=Path,
        metavar="F",
        help="the account's root key, made if missing (DIR/root-key.json)",
    )
    for name, what in (("boot", "pending"), ("stop", "stopping"), ("terminate", "shutting-down")):
        parser.add_argument(
            f"--{name}-s", type=float, default=0.0, metavar="S", help=f"how long an instance is {what} (0)"
        )
    arguments = parser.parse_args()
    # moto reads these when it is imported. Instances must survive as they are, images are named by the caller.
    os.environ.setdefault("MOTO_EC2_LOAD_DEFAULT_AMIS", "false")
    os.environ["MOTO_DISABLE_GLOBAL_CORS"] = "true"
    from local_cloud.aws.addresses import NoNetworkError  # noqa: PLC0415
    from local_cloud.aws.server import configure_logging, serve  # noqa: PLC0415
    from local_cloud.aws.state import UnreadableStateError  # noqa: PLC0415
    from local_cloud.aws.transitions import Delays  # noqa: PLC0415

    configure_logging()
    try:
        serve(
            port=arguments.port,
            state_directory=arguments.state,
            delays=Delays(arguments.boot_s, arguments.stop_s, arguments.terminate_s),
            root_key_file=arguments.root_key_file,
        )
    except (UnreadableStateError, NoNetworkError, ValueError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

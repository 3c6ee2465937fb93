"""SeaweedFS, for resources of type `s3`: master, volumes, filer and S3 in one process, with one bucket."""

import secrets
from pathlib import Path

from envforge_daemon.config import Config
from envforge_daemon.resources.kinds import HOST, Kind, Place, Server, Values
from envforge_daemon.resources.programs import Program, Unavailable, choose, read
from envforge_daemon.services.keepers import Reply

BUCKET = "app"
REGION = "us-east-1"
# Beside the resource's own port, which S3 has.
MASTER, MASTER_GRPC, VOLUME, VOLUME_GRPC, FILER, FILER_GRPC, S3_GRPC = range(1, 8)


class Seaweed(Kind):
    """Only S3 asks for a signature; its other ports are fenced off from everybody else (`fence`)."""

    title = "The S3 store"

    async def program(self, config: Config, asked: str | None, directory: Path) -> Program:
        found = await read(config.programs / "weed", r"(\d+\.\d+(?:\.\d+)*)", "version")
        return choose(self.title, [found] if found else [], asked)

    def secret(self) -> Values:
        return {"access_key": f"EF{secrets.token_hex(9).upper()}", "secret_key": secrets.token_hex(20)}

    def properties(self, secret: Values, port: int) -> Values:
        key, hidden = secret["access_key"], secret["secret_key"]
        return {
            "url": f"s3://{key}:{hidden}@{HOST}:{port}/{BUCKET}",
            "endpoint": f"http://{HOST}:{port}",
            "region": REGION,
            "bucket": BUCKET,
            "access_key": key,
            "secret_key": hidden,
        }

    def private_ports(self, port: int) -> dict[int, bool]:
        return dict.fromkeys(range(port + MASTER, port + S3_GRPC + 1), False)

    def server(self, place: Place, program: Program, secret: Values) -> Server:
        port, directory = place.port, place.inside
        options = {
            "dir": directory,
            "ip": HOST,
            "ip.bind": HOST,
            "master.telemetry": "false",
            "master.port": port + MASTER,
            "master.port.grpc": port + MASTER_GRPC,
            "master.electionTimeout": "1s",
            # A volume grows as it is written to.
            "master.volumeSizeLimitMB": 1024,
            "volume.port": port + VOLUME,
            "volume.port.grpc": port + VOLUME_GRPC,
            "volume.max": 0,
            "volume.preStopSeconds": 0,
            "filer": "true",
            "filer.port": port + FILER,
            "filer.port.grpc": port + FILER_GRPC,
            "filer.disableHttp": "true",
            "filer.localSocket": directory / "filer.sock",
            "s3": "true",
            "s3.port": port,
            "s3.port.grpc": port + S3_GRPC,
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "s3.localSocket": directory / "s3.sock",
        }
        return Server(
            command=(
                *(str(program.path), "-logtostderr=true", "server"),
                *(f"-{name}={value}" for name, value in options.items()),
            ),
            # The master knows a volume server, and S3 answers: either may be up before the other.
            check=Reply(
                port=port + MASTER,
                send=b"GET /dir/status HTTP/1.0\r\n\r\n",
                expect=f'"Url":"{HOST}:{port + VOLUME}"',
                also=Reply(port=port, send=b"GET /healthz HTTP/1.0\r\n\r\n", expect=" 200 "),
            ),
            environment={
                "AWS_ACCESS_KEY_ID": secret["access_key"],
                "AWS_SECRET_ACCESS_KEY": secret["secret_key"],
                "GOMEMLIMIT": f"{place.resource.limits.memory_mib * 8 // 10}MiB",
            },
            # Asked to end it waits a quarter of a minute for itself. What it acknowledged is written by then.
            grace_s=3.0,
        )

    async def finish(self, place: Place, program: Program, secret: Values) -> None:
        made = place.directory / "bucket"
        if made.exists():
            return
        port = place.port
        said = await place.run(
            str(program.path),
            "shell",
            f"-master={HOST}:{port + MASTER}.{port + MASTER_GRPC}",
            f"-filer={HOST}:{port + FILER}.{port + FILER_GRPC}",
            given=f"s3.bucket.create -name {BUCKET}\ns3.bucket.list\nexit\n",
        )
        # Its exit status says nothing of what was done.
        if f"  {BUCKET}\t".encode() not in said:
            raise Unavailable("Its bucket could not be made. Wake the runtime again.")
        await place.run("/bin/sh", "-c", "touch bucket")

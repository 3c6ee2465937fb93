"""The gateway against nginx's bare `proxy_pass`, in alternating runs: what its checks cost.

One core for whoever stands between, the other for the load (wrk) and the app (an nginx). 100,000 sessions are known, each request has
one of them; every check is on. Then the memory after a million requests more. Needs Debian's nginx and wrk.
"""

import asyncio
import json
import os
import re
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from bench._figures import Figures, quick
from bench._gateway_process import HOST, value
from bench._processes import cpu_s, free, memory, pinned
from local_cloud.bootstrap import apt_get_install
from local_cloud.console import Console
from local_cloud.errors import LocalCloudError
from tests.gateway.double import CREDENTIAL, DOMAIN, ControlPlane

GOALS = {1_000: (0.60, 0.70), 100_000: (0.75, 0.85)}
CONNECTIONS = 64
STEADY_A_SECOND = 3000
LONGEST_S = 75

NGINX = """
worker_processes 1;
pid {place}/{name}.pid;
error_log {place}/{name}.log crit;
events {{ worker_connections 4096; }}
http {{
  access_log off;
  keepalive_requests 100000000;
  client_body_temp_path {place}/t1; proxy_temp_path {place}/t2; fastcgi_temp_path {place}/t3; uwsgi_temp_path {place}/t4; scgi_temp_path {place}/t5;
  {inner}
}}
"""
APP = """open_file_cache max=10; sendfile on; tcp_nopush on;
  server {{ listen 127.0.0.1:{port} backlog=4096; root {place}; default_type text/plain; }}"""
PROXY = """upstream app {{ server 127.0.0.1:{app}; keepalive 64; keepalive_requests 100000000; }}
  server {{ listen 127.0.0.1:{port} backlog=4096;
    location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_set_header Host $host;
      proxy_set_header X-Forwarded-For $remote_addr; proxy_buffers 16 16k; }} }}"""
WRK = """
local held = {{}}
for line in io.lines("{place}/cookies") do held[#held + 1] = line end
math.randomseed({seed})
local headers = {{ ["Host"] = "{host}", ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) bench", ["Accept"] = "*/*",
  ["Accept-Encoding"] = "gzip, deflate, br", ["Accept-Language"] = "en", ["Sec-Fetch-Site"] = "same-origin",
  ["Sec-Fetch-Mode"] = "cors", ["Sec-Fetch-Dest"] = "empty" }}
request = function()
  headers["Cookie"] = "theme=dark; __Host-envforge=" .. held[math.random(#held)]
  return wrk.format("GET", nil, headers)
end
{delay}
"""


def main() -> int:
    small = quick()
    sessions, seconds, rounds, many = (2000, 1, 1, 2000) if small else (100_000, 5, 3, 3_000_000)
    try:
        require_programs()
    except LocalCloudError as error:
        print(error)
        return 1
    cores = sorted(os.sched_getaffinity(0))
    between, beside = cores[0], cores[-1]
    figures = Figures(
        f"gateway: {sessions} sessions, {CONNECTIONS} connections, medians of {rounds} runs of {seconds} s"
    )
    with ExitStack() as stack:
        place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        place.chmod(0o755)
        for size in GOALS:
            (place / f"{size}").write_bytes(b"x" * size)
        (place / "cookies").write_text("".join(f"{value(one)}\n" for one in range(sessions)))
        (place / "load.lua").write_text(WRK.format(place=place, host=HOST, seed=1, delay=""))
        (place / "steady.lua").write_text(
            WRK.format(
                place=place,
                host=HOST,
                seed=2,
                delay=f"delay = function() return math.random(0, {2000 * CONNECTIONS // STEADY_A_SECOND}) end",
            )
        )
        app, proxy = free(), free()
        stack.enter_context(nginx(place, "app", APP.format(port=app, place=place), beside))
        worker = stack.enter_context(nginx(place, "proxy", PROXY.format(port=proxy, app=app), between))
        os.sched_setaffinity(0, {beside})
        ports, sizes = (app, proxy), (sessions, seconds, rounds, many)
        try:
            asyncio.run(measure(figures, place, ports, sizes, between, worker))
        except SystemExit:
            figures.finish()
            raise
    return figures.finish()


async def measure(
    figures: Figures,
    place: Path,
    ports: tuple[int, int],
    sizes: tuple[int, int, int, int],
    core: int,
    worker: int,
) -> None:
    app, proxy = ports
    sessions, seconds, rounds, many = sizes
    control = ControlPlane()
    control.grace = control.grace.model_copy(
        update={"heartbeat_every_ms": 250, "refuse_after_ms": 10_000, "cut_after_ms": 30_000}
    )
    await control.start()
    command = [
        sys.executable,
        "-m",
        "bench._gateway_process",
        "gateway",
        str(sessions),
        str(app),
    ]
    environment = {
        **os.environ,
        "ENVFORGE_DEV_URL": f"https://{DOMAIN}",
        "ENVFORGE_GATEWAY_API_URL": control.url,
        "ENVFORGE_GATEWAY_CREDENTIAL": CREDENTIAL,
        "ENVFORGE_GATEWAY_LISTEN": "127.0.0.1:0",
        "ENVFORGE_GATEWAY_ADMIN_LISTEN": "127.0.0.1:0",
        "ENVFORGE_GATEWAY_UPSTREAM_NETWORKS": "127.0.0.0/8",
        "ENVFORGE_GATEWAY_DRAIN_S": "0",
    }
    with pinned(command, core, environment=environment, answers=True) as process:
        assert process.stdout
        told = json.loads(await asyncio.to_thread(process.stdout.readline))
        gateway = told["port"]
        figures.tell("sessions known", f"{told['sessions']}")
        empty = memory(process.pid)
        figures.tell("memory with them", f"{empty:.0f} MiB")
        for size, (gate, goal) in GOALS.items():
            got: dict[int, list[float]] = {proxy: [], gateway: []}
            cost: dict[int, list[float]] = {proxy: [], gateway: []}
            for _ in range(rounds):
                for port, pid in ((proxy, worker), (gateway, process.pid)):
                    ran = cpu_s(pid)
                    rate, _ = await wrk(place, port, size, seconds, "load")
                    got[port].append(rate)
                    cost[port].append((cpu_s(pid) - ran) / (rate * seconds) * 1e6)
            nginx_rate, own = (statistics.median(got[port]) for port in (proxy, gateway))
            figures.tell(f"{size // 1000} KB: nginx / gateway", f"{nginx_rate:,.0f} / {own:,.0f} req/s")
            # Figures tells "at most": a ratio turned over is how many times slower.
            figures.at_most(
                f"  nginx is so many times faster (gate; goal {1 / goal:.2f})",
                nginx_rate / own,
                round(1 / gate, 2),
            )
            # Says the same on a machine that is busy with other things.
            costs = [statistics.median(cost[port]) for port in (proxy, gateway)]
            figures.tell(
                "  processor time a request, nginx / gateway, ratio",
                f"{costs[0]:.1f} / {costs[1]:.1f} µs, {costs[0] / costs[1]:.2f}",
            )
        for name, port in (("nginx", proxy), ("gateway", gateway)):
            rate, p99 = await wrk(place, port, 1000, seconds, "steady")
            figures.tell(f"1 KB at a steady pace, {name}: rate, p99", f"{rate:,.0f} req/s, {p99:.2f} ms")
        grown = []
        figures.tell("memory after these requests", f"{memory(process.pid):.0f} MiB")
        before = await at_rest(process.pid, seconds)
        for _ in range(4):
            asked = await many_requests(place, gateway, many // 4, seconds * 2)
            after = await at_rest(process.pid, seconds)
            grown.append(after - before)
            before = after
            figures.tell(f"  more of it after {asked:,.0f} requests more", f"{grown[-1]:.1f} MiB")
        # Until then what is remembered of sessions, within bounds, has found its place.
        figures.at_most("  in the last part", grown[-1], 4, " MiB")
    await control.stop()


async def at_rest(pid: int, seconds: int) -> float:
    """Its memory in MiB once nothing is asked any more and what sessions did was told: the least of some looks."""
    looks = []
    for _ in range(seconds * 2):
        await asyncio.sleep(1)
        looks.append(memory(pid))
    return min(looks)


async def many_requests(place: Path, port: int, number: int, seconds: int) -> float:
    """Ask so many; on a machine that is busy with other things as many as there is time for. How many it was."""
    asked, until = 0.0, time.monotonic() + LONGEST_S
    while asked < number and time.monotonic() < until:
        rate, _ = await wrk(place, port, 1000, seconds, "load")
        asked += rate * seconds
    return asked


async def wrk(place: Path, port: int, size: int, seconds: int, script: str) -> tuple[float, float]:
    """Requests a second, and the 99th percentile in milliseconds."""
    process = await asyncio.create_subprocess_exec(
        *("wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "--latency", "-s", str(place / f"{script}.lua")),
        f"http://127.0.0.1:{port}/{size}",
        stdout=asyncio.subprocess.PIPE,
    )
    said = (await process.communicate())[0].decode()
    rate = re.search(r"Requests/sec:\s+([\d.]+)", said)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", said)
    if rate is None or p99 is None or "Non-2xx" in said:
        raise SystemExit(f"wrk said:\n{said}")
    return float(rate[1]), float(p99[1]) * {"us": 0.001, "ms": 1.0, "s": 1000.0}[p99[2]]


def require_programs() -> None:
    wanted = [
        name
        for name in ("nginx", "wrk")
        if shutil.which(name, path="/usr/sbin:/usr/bin:/usr/local/bin") is None
    ]
    if not wanted:
        return
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise LocalCloudError(
            f"This needs {' and '.join(wanted)}. Have root run: apt-get install -y {' '.join(wanted)}"
        )
    apt_get_install(" ".join(wanted), Console())


@contextmanager
def nginx(place: Path, name: str, inner: str, core: int) -> Iterator[int]:
    """An nginx; the process id of its worker."""
    (place / f"{name}.conf").write_text(NGINX.format(place=place, name=name, inner=inner))
    with pinned(
        ["nginx", "-c", str(place / f"{name}.conf"), "-p", str(place), "-g", "daemon off;"], core
    ) as process:
        time.sleep(0.5)
        yield int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])


if __name__ == "__main__":
    sys.exit(main())

"""The dev gateway: between a browser and one service of one workspace (DESIGN 8, THREATS G1-G5).

`front` finds requests, `heads` and `fields` read them, `exchange` carries one to its service and its answer back, `upstream`
holds the connections to services, `tunnel` an open WebSocket. `cache` knows what sessions may reach and what is open under
them; `stream` follows the control plane's events; `freshness` says whether what is cached may still be used. `bare` and
`reserved` make sessions, `waking` asks for wakes.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("envforge")
except PackageNotFoundError:
    VERSION = "0"

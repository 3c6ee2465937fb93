"""The VM's own programs (`ip`, `nft`), run as root with arguments of ours alone."""

import asyncio
import os

from envforge_daemon.errors import IsolationError

WITHIN_S = 20.0


async def run(*argv: str, given: str = "", may_fail: bool = False) -> str:
    """Run one and return what it says.

    Raises:
        IsolationError: it failed or took too long.
    """
    child = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": f"/usr/sbin:/sbin:{os.defpath}", "LANG": "C"},
        cwd="/",
    )
    try:
        async with asyncio.timeout(WITHIN_S):
            out, err = await child.communicate(given.encode())
    except TimeoutError:
        child.kill()
        await child.wait()
        raise IsolationError(f"{' '.join(argv[:4])} did not answer within {WITHIN_S:.0f} s.") from None
    if child.returncode and not may_fail:
        raise IsolationError(f"{' '.join(argv)} failed: {err.decode(errors='replace').strip()[:500]}")
    return out.decode(errors="replace")

"""What people read of a VM that is in trouble; the words before the colon stand in rows, events and support's board."""

TROUBLE: dict[str, str] = {
    "capacity": "No machine of this size is free at the moment. Other places are tried, and the same ones again in a few minutes.",
    "limit": "EnvForge may run no more machines of this size at the moment. Support has been told; it is tried again.",
    "throttled": "Many machines are being started at the moment; this one waits its turn.",
    "unanswered": "The last request got no answer. What came of it is being looked up before it is asked again.",
    "refused": "The machine could not be started as asked. Support has been told; it is tried again.",
    "never_joined": "The machine started and was not heard of. It is replaced.",
    "silent": "The machine runs and was not heard of for some minutes. It is started again.",
    "checks": "The machine does not pass its health checks. It is replaced.",
    "gives_up": "Several machines in a row did not come up. The next try is in an hour; support has been told.",
    "walls": "The machine cannot keep workspaces apart as it must, so none runs on it. It is replaced; support has been told.",
    "data_lost": "The disk with this workspace's data is gone. Nothing is started without it; support has been told.",
    "holders": "It waits until nobody is led to this machine any more.",
}


def says(trouble: str) -> str:
    """The sentence for a word; empty where there is no trouble."""
    return TROUBLE.get(trouble, "")

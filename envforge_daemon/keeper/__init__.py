"""A process that keeps one other: a service that is to run, or a command that is to run once.

It outlives the daemon, so that a daemon which restarts finds services as they were. It alone holds the values of the
service's environment, in memory: it starts the service again after a crash, masks its output, and asks whether it is healthy.

    main.py       the process itself, standard library only; started by path with `python -I -S`
    output.py     where masked output goes
    checker.py    asks for health, behind the walls, as the service's account
    files.py      the run's directory: what the daemon and the keeper tell each other
"""

"""Resources in mode "managed local" (W3): PostgreSQL, Valkey, an S3 store and a mail sink, run for one workspace.

programs.py    which servers this VM has, in which versions
postgres.py, valkey.py, seaweed.py, mail.py    how each is prepared, run, asked, and what it offers
kinds.py       what they have in common
fence.py       which ports of theirs are whose
running.py     started before services, stopped after them, adopted, told of
sink.py        the mail sink itself
"""

"""The local cloud's git host: bare repositories over smart HTTP on loopback, read and pushed by token as at a real one.

Access, and how a program gets a credential for minutes: docs/repositories.md.
"""

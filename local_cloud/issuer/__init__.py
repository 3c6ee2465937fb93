"""The local cloud's OpenID Connect issuer: it stands where Auth0 stands in production.

A fixed cast of people signs in by being chosen; everything a client can see of the protocol is real. Started as
`python -m local_cloud.issuer`; see `local_cloud.issuer.cast` for who there is.
"""

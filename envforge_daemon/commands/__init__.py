"""Doing what the control plane leases to this VM: once each, however often it is delivered.

`lanes` orders commands of one workspace, `desk` keeps leases alive and results until they are acknowledged, `poll` asks for more.
"""

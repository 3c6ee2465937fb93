"""The sealed audit chain as programs share it: canonical events, checkpoints, exports and their verification."""

"""The local cloud's mail catcher: takes every message by SMTP, delivers none, and shows them on a page."""

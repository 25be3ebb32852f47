"""The daemon: keeps models and looks in memory and serves clients (PROTOCOL.md)."""

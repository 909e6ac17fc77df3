"""Leaderboards, counters, sessions, rate limits and live channels in one process."""

__version__ = "0.1.0"

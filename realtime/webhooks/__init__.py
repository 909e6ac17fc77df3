"""Telling somebody else's server what happened here, at least once.

signature   what proves that it was us
event       what is said
endpoint    how it is said once: one request, and what came of it
sender      until it has been heard: claim, send, and try again later
"""

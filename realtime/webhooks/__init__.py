"""Telling somebody else's server what happened here, at least once.

signature   what proves that it was us
event       what is said
endpoint    how it is said once: one request, and what came of it
delivery    what is known of the receiver by now, whoever has something to say
sender      departures, until they have been heard: claim, send, and try again later
resets      ends of seasons, as the keeper of seasons asks for it
"""

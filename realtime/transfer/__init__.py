"""Everything from one place to another: an embedded engine's snapshot, a file, a Redis.

For ``realtime migrate``, ``export`` and ``import``, which differ only in how the two places
are named. Blocking: a command line may wait.

How the package is cut, from the outside inwards:

    places             from what was written on the command line to a place
    moving             copy, read both sides, compare: the one way in which anything is moved
    ends  digest       what a place must do; what equal means
    snapshot           a place: a snapshot file, or the data directory around it
    redis              a place: a server, whoever the Sentinels call master, a cluster
    reading  writing   values from a Redis and to it, in pieces that never hold it up
    store  server      the masters behind an address; one connection
    layout             which keys are ours
    progress           what is said meanwhile, and where Ctrl-C may take effect
"""

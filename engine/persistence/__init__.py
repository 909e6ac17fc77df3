"""Beside the engine: how what it holds is written down, and read back.

Two doors. `rdb`: values become the bytes of a Redis snapshot, and such bytes become values.
`recovery`: a folder becomes a state. It holds a journal as Redis keeps one, a snapshot and what
has happened since. How that half is cut, from the outside inwards:

    recovery              the folder: manifest, base, increments in order
    manifest  journal     which files; one increment, record by record
    tail                  what is not whole at its end: torn, or damaged?
    replay  replay_…      commands done again; one table per type, and what they work on
    arguments             numbers, deadlines and ids in commands
    commands annotations  commands and seals as bytes, both ways
    window  errors        a file a piece at a time; words

Writing a journal is `commands.encode_all` and `journal.seal`. Nothing here writes a file, forks
or waits; that is the part of `realtime.snapshots` and `realtime.journal`.
"""

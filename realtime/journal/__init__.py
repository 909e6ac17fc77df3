"""What makes an answer a promise: the journal of a running service.

    durability   the levels, and what each promises
    journaling   all of it, as the store sees it
    journal      from an effect to the disk; what happens when the disk fails
    batches      effects, sealed, and what is still to be written
    bound        an fsync in time, or no more writes
    disk worker  the system calls, and the thread that waits for them
    files        the directory: manifest, base, increments
    compaction   a new base in the background
    switch       from one increment to another
    stats        figures

What leaves the process waits at `realtime.gate`. The format, and how it is read back, is
`engine.persistence`'s; which file is the truth in a data directory is `realtime.recovery`'s.
"""

"""What makes an answer a promise: the journal of a running service.

    durability   the levels, and what each promises
    journal      effects -> batches -> the disk; what happens when the disk fails
    gate         what leaves the process waits until what it tells of is safe
    bound        an fsync in time, or no more writes
    disk worker  the system calls, and the thread that waits for them
    files        the directory: manifest, base, increments
    compaction   a new base in the background
    stats        figures

The format, and how it is read back, is `engine.persistence`'s; which file is the truth in a
data directory is `realtime.recovery`'s.
"""

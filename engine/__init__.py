"""The in-memory engine: synchronous, pure, and unaware of who is asking.

No sockets, no files, no event loop, no wall clock: callers inject a clock and every
call returns at once. `engine.engine.Engine` is the door; `engine.persistence` stands
beside it and writes down what the engine announces.
"""

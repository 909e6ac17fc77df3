"""The other end of a gate: a transport that notes what leaves."""

from __future__ import annotations

import asyncio

__all__ = ["Protocol", "Transport"]


class Protocol(asyncio.Protocol):
    """Counts how often it is told to pause, and to go on."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def pause_writing(self) -> None:
        self.told.append("pause")

    def resume_writing(self) -> None:
        self.told.append("resume")


class Transport:
    """What leaves, in order: bytes, and the ways in which a connection ends."""

    def __init__(self) -> None:
        self.left: list[bytes | str] = []
        self.protocol = Protocol()
        self.buffered = 0
        self.high = 64 * 1024
        self.closing = False

    def write(self, data: bytes) -> None:
        self.left.append(data)

    def write_eof(self) -> None:
        self.left.append("eof")

    def close(self) -> None:
        self.closing = True
        self.left.append("close")

    def abort(self) -> None:
        self.closing = True
        self.left.append("abort")

    def is_closing(self) -> bool:
        return self.closing

    def set_write_buffer_limits(self, high: int) -> None:
        self.high = high

    def get_write_buffer_size(self) -> int:
        return self.buffered

    def get_protocol(self) -> Protocol:
        return self.protocol

    def get_extra_info(self, name: str) -> str:
        return f"info about {name}"

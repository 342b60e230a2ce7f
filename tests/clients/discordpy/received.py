"""Counts what discord-ext-voice-recv delivers, for each SSRC."""

from collections.abc import Callable

from discord.ext import voice_recv

from frames import SILENCE, Digest, read_frame


class Stream:
    """What arrived under one SSRC."""

    def __init__(self, ssrc: int) -> None:
        self.counts = {"payloads": 0, "silence": 0, "intact": 0, "damaged": 0, "foreign": 0, "repeated": 0}
        self.ssrc, self.user_id, self.digest = ssrc, None, Digest()
        self.seen: set[int] = set()

    def take(self, payload: bytes) -> None:
        self.counts["payloads"] += 1
        if payload == SILENCE:
            self.counts["silence"] += 1
            return
        self.digest.add(payload)
        kind, index = read_frame(payload)
        self.counts[kind] += 1
        if kind == "intact":
            self.counts["repeated"] += index in self.seen
            self.seen.add(index)

    def summary(self) -> dict:
        ends = {"first_index": min(self.seen, default=None), "last_index": max(self.seen, default=None)}
        return {"ssrc": self.ssrc, "user_id": self.user_id, **self.counts, **ends, "sha256": self.digest.hex()}


class Received(voice_recv.AudioSink):
    """Is written to by a thread of the library. `first` is called with each stream's first intact frame."""

    def __init__(self, first: Callable[[int, int], None]) -> None:
        super().__init__()
        self.first = first
        self.streams: dict[int, Stream] = {}

    def wants_opus(self) -> bool:
        return True

    def write(self, user: object, data: voice_recv.VoiceData) -> None:
        # A packet that never came is stood in for by an empty one.
        if not data.packet:
            return
        ssrc = data.packet.ssrc
        stream = self.streams.setdefault(ssrc, Stream(ssrc))
        if user is not None:
            stream.user_id = str(user.id)
        before = len(stream.seen)
        stream.take(data.opus)
        if before == 0 and stream.seen:
            self.first(ssrc, min(stream.seen))

    def cleanup(self) -> None:
        """Nothing is held open."""

    def summary(self) -> list[dict]:
        return [stream.summary() for stream in self.streams.values()]

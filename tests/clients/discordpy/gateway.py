"""Where the connection details come from: the command line, or a chat server's cut-down gateway."""

import argparse
import asyncio
import json

import discord

AGAIN_S = 0.2


class Gateway:
    """What discord.py's VoiceClient wants of its main gateway, and tells it in turn."""

    voice: discord.VoiceClient

    async def run(self) -> None:
        """Runs until it is cancelled."""

    async def state(self, guild_id: str, channel_id: str | None) -> None:
        """Op 4: the user joins that channel, or leaves."""
        raise NotImplementedError


class FixedGateway(Gateway):
    """The details of the command line, handed out at the first join."""

    def __init__(self, o: argparse.Namespace) -> None:
        self.o = o
        self.joins: asyncio.Queue[str] = asyncio.Queue(maxsize=1)

    async def run(self) -> None:
        o, channel_id = self.o, await self.joins.get()
        # The client begins to wait for these only after it has said where it wants to be.
        await asyncio.sleep(AGAIN_S)
        state = {"guild_id": o.guild_id, "channel_id": channel_id, "user_id": o.user_id}
        await self.voice.on_voice_state_update({**state, "session_id": o.session_id})
        server = {"guild_id": o.guild_id, "token": o.token, "endpoint": o.endpoint}
        await self.voice.on_voice_server_update(server)

    async def state(self, guild_id: str, channel_id: str | None) -> None:
        if channel_id is not None:
            self.joins.put_nowait(channel_id)


class LineGateway(Gateway):
    """JSON lines over TCP; the connection is made anew whenever it breaks."""

    def __init__(self, port: int, user: str) -> None:
        self.port, self.user = port, user
        self.writer: asyncio.StreamWriter | None = None
        self.ready = asyncio.Event()

    async def run(self) -> None:
        while True:
            try:
                reader, self.writer = await asyncio.open_connection("127.0.0.1", self.port)
                self.send({"op": 2, "d": {"user_id": self.user}})
                self.ready.set()
                while line := await reader.readline():
                    await self.hear(json.loads(line))
            except OSError:
                pass
            self.ready.clear()
            await asyncio.sleep(AGAIN_S)

    def send(self, message: dict) -> None:
        assert self.writer is not None
        self.writer.write((json.dumps(message) + "\n").encode())

    async def hear(self, message: dict) -> None:
        if message["t"] == "VOICE_STATE_UPDATE":
            await self.voice.on_voice_state_update(message["d"])
        elif message["t"] == "VOICE_SERVER_UPDATE":
            await self.voice.on_voice_server_update(message["d"])

    async def state(self, guild_id: str, channel_id: str | None) -> None:
        await self.ready.wait()
        self.send({"op": 4, "d": {"guild_id": guild_id, "channel_id": channel_id}})

#!/usr/bin/env python3
"""Drives an unmodified discord.py VoiceClient as a speaker, against a chat server's cut-down gateway.

discord.py is given stand-ins for what it wants to know of a guild and of its main gateway: who the
user is, where op 4 goes, and a WebSocket for the voice gateway, opened as its own HTTP client does.
"""

import argparse
import asyncio
import json
import sys
import time
from types import SimpleNamespace

import aiohttp
import discord

from frames import digest_of, make_frame

START = time.monotonic()
AGAIN_S = 0.2


def say(ev: str, **fields: object) -> None:
    line = {"t": int((time.monotonic() - START) * 1000), "ev": ev, **fields}
    print(json.dumps(line), flush=True)


class ChatServer:
    """JSON lines over TCP; the connection is made anew whenever it breaks."""

    def __init__(self, port: int, user: str) -> None:
        self.port, self.user = port, user
        self.writer: asyncio.StreamWriter | None = None
        self.ready = asyncio.Event()
        self.voice: discord.VoiceClient | None = None

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
        if self.voice is None:
            return
        if message["t"] == "VOICE_STATE_UPDATE":
            await self.voice.on_voice_state_update(message["d"])
        elif message["t"] == "VOICE_SERVER_UPDATE":
            await self.voice.on_voice_server_update(message["d"])


def make_guild(o: argparse.Namespace, chat: ChatServer) -> SimpleNamespace:
    async def change_voice_state(*, channel, self_mute=False, self_deaf=False):
        await chat.ready.wait()
        where = None if channel is None else str(channel.id)
        chat.send({"op": 4, "d": {"guild_id": o.guild_id, "channel_id": where}})

    guild = SimpleNamespace(id=int(o.guild_id), me=SimpleNamespace(voice=None))
    guild.change_voice_state = change_voice_state
    guild.get_channel = lambda channel_id: make_channel(channel_id, guild)
    return guild


def make_channel(channel_id: int, guild: SimpleNamespace) -> SimpleNamespace:
    channel = SimpleNamespace(id=channel_id, guild=guild)
    channel._get_voice_client_key = lambda: (guild.id, "guild_id")
    channel._get_voice_state_pair = lambda: (guild.id, channel_id)
    return channel


def make_client(o: argparse.Namespace, session: aiohttp.ClientSession) -> SimpleNamespace:
    async def ws_connect(url: str, *, compress: int = 0):
        timeout = aiohttp.ClientWSTimeout(ws_close=30.0)
        return await session.ws_connect(
            url, max_msg_size=0, timeout=timeout, autoclose=False, compress=compress
        )

    state = SimpleNamespace(
        loop=asyncio.get_running_loop(),
        user=SimpleNamespace(id=int(o.user_id)),
        http=SimpleNamespace(ws_connect=ws_connect),
        _remove_voice_client=lambda key: None,
    )
    return SimpleNamespace(_connection=state, loop=state.loop)


class Frames(discord.AudioSource):
    """Opus frames that are ready to be sent."""

    def __init__(self, frames: list[bytes]) -> None:
        self.left = iter(frames)

    def read(self) -> bytes:
        return next(self.left, b"")

    def is_opus(self) -> bool:
        return True


async def speak(o: argparse.Namespace, voice: discord.VoiceClient) -> dict:
    frames = [make_frame(o.tag, index) for index in range(o.frames)]
    await asyncio.sleep(o.delay)
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    say("speak-begin", frames=len(frames), tag=o.tag)
    voice.play(Frames(frames), after=lambda error: loop.call_soon_threadsafe(done.set))
    await done.wait()
    say("speak-done")
    return {"tag": o.tag, "frames": len(frames), "sha256": digest_of(frames)}


async def run(o: argparse.Namespace) -> int:
    chat = ChatServer(o.gateway, o.user_id)
    listening = asyncio.create_task(chat.run())
    say("start", client="discord.py", version=discord.__version__, role="speak", user_id=o.user_id)
    async with aiohttp.ClientSession() as session:
        channel = make_channel(int(o.channel_id), make_guild(o, chat))
        chat.voice = voice = discord.VoiceClient(make_client(o, session), channel)
        began = time.monotonic()
        await voice.connect(reconnect=True, timeout=o.connect_timeout)
        say("connected", ssrc=voice.ssrc)
        say("session", mode=voice.mode)
        sent = await speak(o, voice)
        await asyncio.sleep(max(0.0, o.seconds - (time.monotonic() - began)))
        connected = voice.is_connected()
        say("summary", ended="time", ready=True, sent=sent, session={"mode": voice.mode}, connected=connected)
        listening.cancel()
        await voice.disconnect(force=True)
        return 0 if connected else 4


def main() -> int:
    p = argparse.ArgumentParser()
    for name in ("--guild-id", "--channel-id", "--user-id", "--role"):
        p.add_argument(name, required=True)
    p.add_argument("--gateway", type=int, required=True)
    p.add_argument("--ca", help="read from SSL_CERT_FILE, which is set as well")
    p.add_argument("--seconds", type=float, default=8)
    p.add_argument("--delay", type=float, default=1)
    p.add_argument("--frames", type=int, default=300)
    p.add_argument("--tag", type=int, default=1)
    p.add_argument("--connect-timeout", type=float, default=10)
    o = p.parse_args()
    if o.role != "speak":
        p.error("discord.py has no receiver: --role speak")
    return asyncio.run(run(o))


sys.exit(main())

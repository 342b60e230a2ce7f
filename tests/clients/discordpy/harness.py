#!/usr/bin/env python3
"""Drives an unmodified discord.py VoiceClient as a speaker, or discord-ext-voice-recv's as a listener.

discord.py is given stand-ins for what it wants to know of a guild and of its main gateway: who the
user is, where op 4 goes, and a WebSocket for the voice gateway, opened as its own HTTP client does.
"""

import argparse
import asyncio
import json
import logging
import sys
import time
from types import SimpleNamespace

import aiohttp
import discord
from discord.ext import voice_recv

from frames import Digest, make_frame
from gateway import FixedGateway, Gateway, LineGateway
from received import Received

START = time.monotonic()


def say(ev: str, **fields: object) -> None:
    line = {"t": int((time.monotonic() - START) * 1000), "ev": ev, **fields}
    print(json.dumps(line), flush=True)


def make_guild(o: argparse.Namespace, gateway: Gateway) -> SimpleNamespace:
    async def change_voice_state(*, channel, self_mute=False, self_deaf=False):
        await gateway.state(o.guild_id, None if channel is None else str(channel.id))

    me = SimpleNamespace(id=int(o.user_id), voice=None)
    guild = SimpleNamespace(id=int(o.guild_id), me=me, change_voice_state=change_voice_state)
    guild.get_channel = lambda channel_id: make_channel(channel_id, guild)
    guild.get_member = lambda user_id: SimpleNamespace(id=user_id)
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
    return SimpleNamespace(_connection=state, loop=state.loop, dispatch=lambda *event: None)


class Frames(discord.AudioSource):
    """Opus frames that are ready to be sent."""

    def __init__(self, frames: list[bytes]) -> None:
        self.left = iter(frames)

    def read(self) -> bytes:
        return next(self.left, b"")

    def is_opus(self) -> bool:
        return True


async def speak(o: argparse.Namespace, voice: discord.VoiceClient) -> dict:
    began = time.monotonic()
    frames = [make_frame(o.tag, index) for index in range(o.frames)]
    digest = Digest()
    for frame in frames:
        digest.add(frame)
    await asyncio.sleep(o.delay)
    done = asyncio.Event()
    loop = asyncio.get_running_loop()
    say("speak-begin", frames=len(frames), tag=o.tag)
    voice.play(Frames(frames), after=lambda error: loop.call_soon_threadsafe(done.set))
    await done.wait()
    say("speak-done")
    await asyncio.sleep(max(0.0, o.seconds - (time.monotonic() - began)))
    return {"sent": {"tag": o.tag, "frames": len(frames), "sha256": digest.hex()}}


async def listen(o: argparse.Namespace, voice: voice_recv.VoiceRecvClient) -> dict:
    loop = asyncio.get_running_loop()
    heard = asyncio.Event()

    def first(ssrc: int, index: int) -> None:
        say("first-frame", ssrc=ssrc, index=index)
        loop.call_soon_threadsafe(heard.set)

    received = Received(first)
    voice.listen(received)
    try:
        await asyncio.wait_for(heard.wait(), o.seconds)
        await asyncio.sleep(o.after_first)
    except asyncio.TimeoutError:
        pass
    return {"received": received.summary()}


async def run(o: argparse.Namespace) -> int:
    gateway = LineGateway(o.gateway, o.user_id) if o.gateway else FixedGateway(o)
    say("start", client="discord.py", version=discord.__version__, role=o.role, user_id=o.user_id)
    async with aiohttp.ClientSession() as session:
        channel = make_channel(int(o.channel_id), make_guild(o, gateway))
        library = discord.VoiceClient if o.role == "speak" else voice_recv.VoiceRecvClient
        gateway.voice = voice = library(make_client(o, session), channel)
        running = asyncio.create_task(gateway.run())
        await voice.connect(reconnect=bool(o.gateway), timeout=o.connect_timeout)
        first = voice.ws
        say("connected", ssrc=voice.ssrc)
        say("session", mode=voice.mode)
        seen = await (speak if o.role == "speak" else listen)(o, voice)
        connected = voice.is_connected()
        # The library tells nobody of a connection that it repaired; its WebSocket is another one then.
        closes = [] if voice.ws is first else [None]
        state = {"session": {"mode": voice.mode}, "connected": connected, "closes": closes, "resumes": 0}
        say("summary", ended="time", ready=True, **seen, **state)
        running.cancel()
        await voice.disconnect(force=True)
        return 0 if connected else 4


def main() -> int:
    p = argparse.ArgumentParser()
    for name in ("--guild-id", "--channel-id", "--user-id"):
        p.add_argument(name, required=True)
    p.add_argument("--role", required=True, choices=("speak", "listen"))
    p.add_argument("--gateway", type=int)
    for name in ("--endpoint", "--token", "--session-id"):
        p.add_argument(name)
    p.add_argument("--ca", help="read from SSL_CERT_FILE, which is set as well")
    p.add_argument("--seconds", type=float, default=8)
    p.add_argument("--after-first", type=float, default=0)
    p.add_argument("--delay", type=float, default=1)
    p.add_argument("--frames", type=int, default=300)
    p.add_argument("--tag", type=int, default=1)
    p.add_argument("--connect-timeout", type=float, default=10)
    o = p.parse_args()
    if not o.gateway and not (o.endpoint and o.token and o.session_id):
        p.error("--gateway, or --endpoint, --token and --session-id")
    logging.basicConfig(level=logging.WARNING)
    return asyncio.run(run(o))


sys.exit(main())

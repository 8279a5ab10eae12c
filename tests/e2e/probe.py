"""A pack for tests alone: tells over HTTP what the server's process holds."""

import gc
import os

import psutil
from aiohttp import web
from server import PromptServer

NODE_CLASS_MAPPINGS = {}


@PromptServer.instance.routes.get("/probe")
async def probe(request):
    """How many networks of CL-Dis and latents are alive, and the memory in use, in bytes."""
    gc.collect()
    kinds = [type(each).__name__ for each in gc.get_objects()]
    rss = psutil.Process(os.getpid()).memory_info().rss
    return web.json_response(
        {
            "networks": kinds.count("DiffusionAutoencoder"),
            "latents": kinds.count("Latent"),
            "bytes": rss,
        }
    )

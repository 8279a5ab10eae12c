"""ComfyUI's server, where the pack runs in one."""

from __future__ import annotations

import sys
from typing import Any


def running_server() -> Any | None:
    """The `PromptServer` of this process; None without ComfyUI."""
    return getattr(getattr(sys.modules.get("server"), "PromptServer", None), "instance", None)


def running_node() -> Any | None:
    """ComfyUI's `ExecutionContext` of the node that is running; None without ComfyUI."""
    running = getattr(sys.modules.get("comfy_execution.utils"), "get_executing_context", None)
    return None if running is None else running()

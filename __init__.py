"""ComfyUI's door to CL-Dis: the node tables are imported when ComfyUI asks for them, not before.

ComfyUI loads this folder as a package named by its path, whatever the folder is called; tests and
the command line import `comfyui_cldis` instead and must be able to pass by this file unharmed.
"""

WEB_DIRECTORY = "./comfyui_cldis/web"


def __getattr__(name: str):
    if name in ("NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"):
        from .comfyui_cldis import nodes

        return getattr(nodes, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

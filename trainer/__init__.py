"""The bundled trainer of CL-Dis: `python -m trainer`. Never imported by `comfyui_cldis`."""

"""CL-Dis: factors of images, learned without labels, as sliders.

Source: Jin et al. 2024, ECCV (arXiv:2402.02346).
"""

__version__ = "0.1.0"

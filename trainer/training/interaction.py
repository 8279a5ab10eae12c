"""What the co-pilot's decoder makes of two dimensions together, and nothing of either alone.

Two factors may share two dimensions as angle and radius; then neither dimension means anything
without the other. A decoder that is a sum over dimensions, g(z) = sum_i g_i(z_i), could not read
such a pair.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

SMALLEST_BATCH = 2


def interaction(
    decode: Callable[[Tensor], Tensor],
    z: Tensor,
    images: Tensor,
    exchanged: Tensor,
    variance: Tensor,
) -> Tensor:
    """How far a decoder is from a sum over dimensions of the code, nats per image: ().

    Item i is paired with item i + B // 2; the two exchange some dimensions, which makes two
    further codes. For a sum over dimensions the images of the two pairs have one sum; half of the
    squared difference of the sums is paid, in units of the variance of the reconstruction, as
    its own error is. Of an odd batch the last item is left out.
    Source: additive decoders (Lachapelle et al. 2023, arXiv:2307.02598, Definition 1) as a
    penalty in the manner of the Hessian penalty (Peebles et al. 2020, arXiv:2008.10599), which
    takes differences at small steps; ours takes them between images of the data.

    Args:
        decode: codes (n, N) -> images (n, C, S, S).
        z: (B, N) codes, B at least 2.
        images: (B, C, S, S) what `decode` makes of z, with its gradient.
        exchanged: (B, N) bool; row i says what items i and i + B // 2 exchange. The second half
            of the rows is not read.
        variance: () of the reconstruction, per value; no gradient passes here.
    """
    half = len(z) // 2
    first, second, exchanged = z[:half], z[half : 2 * half], exchanged[:half]
    mixed = decode(
        torch.cat([first.where(~exchanged, second), second.where(~exchanged, first)])
    ).float()
    images = images.float()
    own = images[:half] + images[half : 2 * half]
    difference = own - mixed[:half] - mixed[half:]
    return 0.5 * difference.square().flatten(1).sum(1).mean() / variance.detach()

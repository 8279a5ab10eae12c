"""Curved directions: each follows the gradient of a potential of its own through the code.

Source: Song et al. 2023 (Latent Traversals in Generative Models as Potential Flows,
arXiv:2304.12944): a potential u_k(z, tau) obeys a wave equation and the code moves along its
gradient. docs/navigation.md lists the deviations.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

WIDTH = 32
REACH = 3.0  # standard deviations per unit of tau
PIECES = 4  # Euler steps of a move in training


class Potentials(nn.Module):
    """u_k(z, tau) = z_k + w_k(z, tau), w a small network that is 0 at the start.

    So the curves start as the axes. They are followed at unit speed: an amount is the length of
    the way in standard deviations.
    """

    def __init__(self, size: int, count: int) -> None:
        super().__init__()
        self.count = count
        self.network = nn.Sequential(
            nn.Linear(size + 1, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH), nn.Tanh()
        )
        self.last = nn.Linear(WIDTH, count, bias=False)
        nn.init.zeros_(self.last.weight)
        self.log_speed = nn.Parameter(torch.zeros(count))  # of the waves
        self.register_buffer("axes", torch.eye(size)[:count], persistent=False)

    def correction(self, codes: Tensor, tau: Tensor, chosen: Tensor) -> Tensor:
        """w (n,) of the chosen potentials at codes (n, M) and times (n,)."""
        values = self.last(self.network(torch.cat([codes, tau[:, None]], dim=1)))
        return values.gather(1, chosen[:, None])[:, 0]

    def velocity(self, codes: Tensor, tau: Tensor, chosen: Tensor) -> Tensor:
        """Unit gradients (n, M) of the chosen potentials."""
        keep = torch.is_grad_enabled()
        with torch.enable_grad():
            at = codes if codes.requires_grad else codes.detach().requires_grad_()
            value = self.correction(at, tau, chosen).sum()
            (slope,) = torch.autograd.grad(value, at, create_graph=keep)
        return nn.functional.normalize(self.get_buffer("axes")[chosen] + slope, dim=1)

    def follow(self, codes: Tensor, chosen: Tensor, amounts: Tensor, pieces: int) -> Tensor:
        """Codes (pieces + 1, n, M) on the way from `codes` by signed `amounts` (n,)."""
        points = [codes]
        piece = amounts / pieces
        for index in range(pieces):
            tau = index * piece / REACH
            points.append(points[-1] + piece[:, None] * self.velocity(points[-1], tau, chosen))
        return torch.stack(points)

    def forward(self, codes: Tensor, chosen: Tensor, amounts: Tensor) -> Tensor:
        """Shifts (n, M) of codes (n, M) by signed amounts (n,) along the chosen curves."""
        return self.follow(codes, chosen, amounts, PIECES)[-1] - codes

    def residual(self, codes: Tensor, chosen: Tensor, amounts: Tensor) -> Tensor:
        """Mean squared (u_tautau - c_k^2 Laplace u) at the codes, with the time of the amounts."""
        speed = self.log_speed.exp()

        def one(point: Tensor, index: Tensor) -> Tensor:
            return self.correction(point[None, :-1], point[None, -1], index[None])[0]

        points = torch.cat([codes, amounts[:, None] / REACH], dim=1).detach()
        second = torch.func.vmap(torch.func.hessian(one))(points, chosen)
        diagonal = second.diagonal(dim1=1, dim2=2)  # (n, M + 1)
        waves = diagonal[:, -1] - speed[chosen].square() * diagonal[:, :-1].sum(1)
        return waves.square().mean()

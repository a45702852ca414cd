# SPDX-License-Identifier: Apache-2.0
"""vicinal.attention() of torch tensors whose bias is at positions that get gradients (DistanceBias.at): forces, stress."""
import ctypes as c

import numpy as np
import torch

from . import _c, _torch

CLOSE = 1e-4  # A; how far positions may be from the pattern's, which may have been given in another type


def _check_points(name, given, stored, rows=slice(None)):
    """Shape and, of some rows, the values."""
    if not torch.is_tensor(given) or not given.dtype.is_floating_point:
        raise _c.ArgumentError(f"bias.at(): {name}: expected a torch tensor of floating-point numbers, got "
                               f"{given.dtype if torch.is_tensor(given) else type(given).__name__}")
    if tuple(given.shape) != stored.shape:
        raise _c.ArgumentError(f"bias.at(): {name}: expected shape {stored.shape}, that of the pattern's, got "
                               f"{tuple(given.shape)}")
    if torch._C._functorch.is_functorch_wrapped_tensor(given):
        return  # inside of torch.func, where values cannot be seen
    off = np.abs(given.detach().double().cpu().numpy() - stored)[rows].max(initial=0.0)
    if not off <= CLOSE:  # also NaN
        raise _c.ArgumentError(f"bias.at(): {name}: they are up to {off:.3g} A from those of the pattern, whose distances "
                               "count: pattern.update_() with new positions or cell first, and then give the same")


def checked(bias, pattern):
    """(positions, keys, cell) of the bias; raises ArgumentError where they are not the pattern's."""
    positions, keys, cell = bias._at
    stored = pattern.positions
    if stored is None:
        raise _c.ArgumentError(f"bias.at(): the pattern was made without positions: {pattern!r}")
    _check_points("positions", positions, stored)
    if keys is not None:
        if pattern.one_set:
            raise _c.ArgumentError("bias.at(): keys: this pattern has one set of points: give positions alone")
        _check_points("keys", keys, pattern._positions("key"))
    if cell is not None:
        if not any(pattern.pbc):
            raise _c.ArgumentError("bias.at(): cell: the pattern is not periodic")
        _check_points("cell", cell, np.asarray(pattern.cell), np.asarray(pattern.pbc))
    return positions, keys, cell


def _gradients(q, k, v, table, out, lse, dout, dlse, n_positions, n_keys, pattern, scale, in_order, needs):
    """As the names; None for what is not needed.  By positions and cell in float64."""
    wanted = {}
    for name, like, needed in zip(("dq", "dk", "dv", "dbias"), (q, k, v, table), needs):
        if needed:
            wanted[name] = torch.empty(like.shape, dtype=like.dtype)
    for name, n, needed in zip(("dquery_positions", "dkey_positions", "dcell"), (n_positions, n_keys, 3), needs[4:]):
        if needed:
            wanted[name] = torch.zeros(n, 3, dtype=torch.float64)
    args, _used = _torch._arguments("vic_attention_backward_args", scale, q=q, k=k, v=v, out=out, lse=lse, dout=dout, dlse=dlse,
                                    bias=table, **wanted)
    _c.call("vicpy_attention_backward", pattern._number, c.addressof(args), in_order)
    return tuple(wanted.get(name) for name in ("dq", "dk", "dv", "dbias", "dquery_positions", "dkey_positions", "dcell"))


class Gradients(torch.autograd.Function):
    """Gradients that know that they cannot be differentiated again."""

    @staticmethod
    def forward(ctx, *inputs):
        return _gradients(*inputs)

    backward = staticmethod(_torch._not_again)


class Moving(torch.autograd.Function):
    """The kernels forward and backward, with gradients by positions, keys and cell."""

    @staticmethod
    def forward(ctx, q, k, v, table, positions, keys, cell, *given):
        results = _torch._kernel(q, k, v, table, given[0]._number, *given[1:])
        ctx.save_for_backward(q, k, v, table, *results)
        ctx.given, ctx.updates = given, given[0]._updates
        ctx.types = [None if x is None else x.dtype for x in (positions, keys, cell)]
        ctx.devices = [None if x is None else x.device for x in (positions, keys, cell)]
        return results

    @staticmethod
    def backward(ctx, dout, dlse):
        pattern = ctx.given[0]
        _torch._same_pairs(pattern, ctx.updates)
        compute = Gradients.apply if torch.is_grad_enabled() else _gradients
        found = compute(*ctx.saved_tensors, dout, dlse, pattern.n_queries, pattern.n_keys, *ctx.given,
                        ctx.needs_input_grad[:7])
        moved = (None if x is None else x.to(device, dtype) for x, dtype, device in zip(found[4:], ctx.types, ctx.devices))
        return (*found[:4], *moved, *(None for _ in ctx.given))


@torch.compiler.disable
def attention(q, k, v, table, moved, pattern, scale, in_order):
    """(out, lse), to be differentiated by all tensors, `moved` too."""
    if torch._C._are_functorch_transforms_active():
        raise _c.ArgumentError("bias.at(): torch.func has no way to gradients by positions here: call it outside, with "
                               "torch.autograd.grad, or give backend='reference'")
    if q.device.type != "cpu" or not _torch._has_kernel(q, k, v, table, pattern, in_order):
        raise _c.DeviceError(f"bias.at(): no kernel has gradients by positions on {q.device.type}: take tensors of the CPU, or, "
                             "for small systems, backend='reference'")
    return Moving.apply(q, k, v, table, *moved, pattern, scale, in_order)

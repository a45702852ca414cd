# SPDX-License-Identifier: Apache-2.0
"""vicinal.attention() of torch tensors with a stored bias, a number for each pair and head, and its gradients.

    vicinal::attn_stored             attention, without gradients in eager inference, differentiable by attn_stored_backward
    vicinal::attn_stored_backward    gradients of q, k, v and the bias; once

Written in Python over the C library, since a pair has a number of its own only where there is much to do for it.
"""
import ctypes as c

import torch

from . import _c, _torch

REST = "SymInt pattern, SymInt updates, float scale, bool sorted"
_library = torch.library.Library("vicinal", "FRAGMENT")
_library.define(f"attn_stored(Tensor q, Tensor k, Tensor v, Tensor bias, {REST}) -> (Tensor, Tensor)")
_library.define(f"attn_stored_backward(Tensor q, Tensor k, Tensor v, Tensor bias, Tensor out, Tensor lse, Tensor dout, Tensor dlse, "
                f"{REST}, int wanted) -> (Tensor, Tensor, Tensor, Tensor)")


def _bias(args, name, x):
    """Any strides do, so this one is not made contiguous."""
    setattr(args, name, _torch._tensor(x))


def _forward(q, k, v, bias, pattern, updates, scale, in_order):
    out, lse = q.new_empty((*q.shape[:-1], v.shape[-1])), q.new_empty(q.shape[:-1], dtype=torch.float32)
    args, _used = _torch._arguments("vic_attention_args", scale, q=q, k=k, v=v, out=out, lse=lse)
    _bias(args, "pair_bias", bias)
    _c.call("vicpy_attention", int(pattern), c.addressof(args), in_order)
    return out, lse


def _shapes(q, k, v, bias, *rest):
    return q.new_empty((*q.shape[:-1], v.shape[-1])), q.new_empty(q.shape[:-1], dtype=torch.float32)


def _gradient_shapes(q, k, v, bias, *rest):
    """Contiguous, of the shape of each; empty where not wanted (bits 1 q, 2 k, 4 v, 8 bias)."""
    return tuple(x.new_empty(x.shape if rest[-1] >> n & 1 else 0) for n, x in enumerate((q, k, v, bias)))


def _backward(q, k, v, bias, out, lse, dout, dlse, pattern, updates, scale, in_order, wanted):
    _torch._same_pairs(_torch._pattern(pattern), updates)
    results = _gradient_shapes(q, k, v, bias, wanted)
    dq, dk, dv, dbias = (x if wanted >> n & 1 else None for n, x in enumerate(results))
    args, _used = _torch._arguments("vic_attention_backward_args", scale, q=q, k=k, v=v, out=out, lse=lse, dout=dout, dlse=dlse,
                                    dq=dq, dk=dk, dv=dv)
    _bias(args, "pair_bias", bias)
    if dbias is not None:
        _bias(args, "dpair_bias", dbias)
    _c.call("vicpy_attention_backward", int(pattern), c.addressof(args), in_order)
    return results


def _save(ctx, inputs, output):
    q, k, v, bias, *ctx.given = inputs
    ctx.save_for_backward(q, k, v, bias, *output)


def _differentiate(ctx, dout, dlse):
    needs = ctx.needs_input_grad
    found = torch.ops.vicinal.attn_stored_backward(*ctx.saved_tensors, dout, dlse, *ctx.given, _torch._wanted(needs))
    return (*(x if needed else None for x, needed in zip(found, needs[:4])), None, None, None, None)


for _device in ("CPU", "CUDA"):
    _library.impl("attn_stored", _forward, _device)
    _library.impl("attn_stored_backward", _backward, _device)
torch.library.register_fake("vicinal::attn_stored", _shapes, lib=_library)
torch.library.register_fake("vicinal::attn_stored_backward", _gradient_shapes, lib=_library)
torch.library.register_autograd("vicinal::attn_stored", _differentiate, setup_context=_save, lib=_library)
torch.library.register_autograd("vicinal::attn_stored_backward", _torch._not_again, lib=_library)


def attention(q, k, v, bias, pattern, scale, in_order):
    """(out, lse)."""
    if not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active():
        raise _c.ArgumentError("bias: torch.func and vmap have no way through a stored bias here: call attention outside, with "
                               "torch.autograd.grad, or give backend='reference'; for vmap give a batch")
    if bias.dtype == torch.float64:  # kernels sum in float32
        bias = bias.float()
    return torch.ops.vicinal.attn_stored(q, k, v, bias, pattern._number, pattern._updates, scale, in_order)

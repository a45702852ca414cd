# SPDX-License-Identifier: Apache-2.0
"""vicinal.attention() of torch tensors: results, layouts, gradients, and what torch does with an operator."""
import gc
import os
import subprocess
import sys
import threading
import warnings

import numpy as np
import pytest
import torch

import vicinal

from problems import DEVICES, LIMITS, close, oracle, periodic, points, raw, tensors

NAN = float("nan")


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", LIMITS)
@pytest.mark.parametrize("shape, kv_heads, d_v", [
    ((200, 4, 32), None, None), ((200, 4, 64), 2, 32), ((3, 200, 2, 16), 1, None), ((200, 1, 20), None, 12), ((2, 200, 3, 7), None, 128)])
def test_results(device, dtype, shape, kv_heads, d_v):
    if device == "cuda" and dtype == torch.float32:
        pytest.skip("float32 has no kernel on a GPU")
    pattern = periodic()
    q, k, v = tensors(shape, dtype, device, kv_heads, d_v)
    out, lse = vicinal.attention(q, k, v, pattern, return_lse=True)
    want, want_lse = oracle(q, k, v, pattern)
    assert out.dtype == dtype and lse.dtype == torch.float32 and out.device.type == device
    close(out, want, LIMITS[dtype])
    close(lse, want_lse, 1e-3 if dtype != torch.float32 else 1e-6)
    close(vicinal.attention(q, k, v, pattern, backend="reference"), want, LIMITS[dtype])
    close(vicinal.attention(q, k, v, pattern, scale=0.3), oracle(q, k, v, pattern, 0.3)[0], LIMITS[dtype])
    close(vicinal.attention(q, k, v, pattern, scale=0), oracle(q, k, v, pattern, 0)[0], LIMITS[dtype])


@pytest.mark.parametrize("device", DEVICES)
def test_layouts(device):
    """Views of [b, h, n, d] and of packed q, k, v give the bits of plain tensors; odd strides and addresses do, too."""
    dtype = torch.float32 if device == "cpu" else torch.float16
    pattern = periodic()
    q, k, v = tensors((2, 200, 4, 16), dtype, device)
    want = vicinal.attention(q, k, v, pattern)
    q2, k2, v2 = (x.transpose(1, 2).contiguous().transpose(1, 2) for x in (q, k, v))
    assert not q2.is_contiguous() and torch.equal(vicinal.attention(q2, k2, v2, pattern), want)
    packed = torch.stack([q, k, v], 3)
    assert torch.equal(vicinal.attention(*packed.unbind(3), pattern), want)
    odd = torch.cat([q.flatten(), q.new_zeros(1)]).roll(1)[1:].view(q.shape)  # one element past an aligned address
    last = torch.stack([q, q], -1)[..., 0]
    expanded = k[:, :, :1].expand_as(k)
    assert torch.equal(vicinal.attention(odd, k, v, pattern), want)
    assert torch.equal(vicinal.attention(last, k, v, pattern), want)
    assert torch.equal(vicinal.attention(q, expanded, v, pattern), vicinal.attention(q, expanded.contiguous(), v, pattern))


@pytest.mark.parametrize("device", DEVICES)
def test_sorted(device):
    dtype = torch.float32 if device == "cpu" else torch.float16
    pattern = periodic()
    q, k, v = tensors((200, 2, 32), dtype, device)
    out, lse = vicinal.attention(q, k, v, pattern, return_lse=True)
    s = [pattern.sort(x) for x in (q, k, v)]
    assert not torch.equal(s[0], q)
    out2, lse2 = vicinal.attention(*s, pattern, sorted=True, return_lse=True)
    assert torch.equal(pattern.unsort(out2), out) and torch.equal(pattern.unsort(lse2), lse)
    ref = vicinal.attention(*s, pattern, sorted=True, backend="reference")
    close(pattern.unsort(ref), oracle(q, k, v, pattern)[0], LIMITS[dtype])


def test_meta():
    """Shapes alone, without work."""
    out, lse = vicinal.attention(*(x.to("meta") for x in tensors((2, 200, 4, 16), d_v=8)), periodic(), return_lse=True)
    assert out.shape == (2, 200, 4, 8) and lse.shape == (2, 200, 4) and out.device.type == "meta"


def test_two_sets_and_empty_rows():
    x, y = torch.from_numpy(points(50)), torch.from_numpy(points(70, 1))
    x[7] += 1000
    pattern = vicinal.pattern(x, 4.0, keys=y)
    q, k, v = tensors((50, 2, 8), n_k=70, grad=True)
    out, lse = vicinal.attention(q, k, v, pattern, return_lse=True)
    close(out, oracle(q, k, v, pattern)[0], 2e-6)
    assert out[7].abs().max() == 0 and torch.isinf(lse[7]).all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grads = torch.autograd.grad(out.square().sum() + lse.exp().sum(), (q, k, v))
    assert all(x.isfinite().all() for x in grads) and grads[0][7].abs().max() == 0


# ---- Types ----

@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, "float16"])
def test_compute_dtype(dtype):
    pattern = periodic()
    q, k, v = tensors((200, 2, 16))
    out = vicinal.attention(q, k, v, pattern, compute_dtype=dtype)
    name = getattr(torch, dtype) if isinstance(dtype, str) else dtype
    assert out.dtype == torch.float32
    assert torch.equal(out, vicinal.attention(q.to(name), k.to(name), v.to(name), pattern).float())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_autocast(device, dtype):
    pattern = periodic()
    q, k, v = tensors((200, 2, 16), device=device)
    with torch.autocast(device, dtype):
        out, lse = vicinal.attention(q, k, v, pattern, return_lse=True)
    assert out.dtype == dtype and lse.dtype == torch.float32
    assert torch.equal(out, vicinal.attention(q.to(dtype), k.to(dtype), v.to(dtype), pattern))
    q.requires_grad_()
    with torch.autocast(device, dtype), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        grad, = torch.autograd.grad(vicinal.attention(q, k, v, pattern).float().square().sum(), q)
    assert grad.dtype == torch.float32


@pytest.mark.gpu
def test_float32_on_a_gpu():
    pattern = periodic()
    q, k, v = tensors((200, 2, 16), device="cuda")
    with pytest.raises(vicinal.DeviceError, match="compute_dtype=.*float16.*torch.autocast"):
        vicinal.attention(q, k, v, pattern)
    out = vicinal.attention(q, k, v, pattern, compute_dtype=torch.float16)
    assert out.dtype == torch.float32
    close(out, oracle(q, k, v, pattern)[0], 1e-3)


# ---- What torch does with an operator ----

@pytest.mark.parametrize("device", DEVICES)
def test_opcheck(device):
    pattern = periodic()
    dtype = torch.float32 if device == "cpu" else torch.float16
    vicinal.attention(*tensors((200, 2, 16), dtype, device), pattern)
    tests = ("test_schema", "test_faketensor", "test_aot_dispatch_dynamic")
    for shape in ((200, 2, 16), (3, 200, 2, 16)):
        q, k, v = tensors(shape, dtype, device)
        for name in ("attn", "attn_lse"):
            torch.library.opcheck(raw(name), (q, k, v, pattern._number, 0.25, False), test_utils=tests)
    if device == "cpu":
        plain = vicinal.pattern(points(), 5.0)
        table = torch.from_numpy(vicinal.DistanceBias.cosine(5.0).table)
        torch.library.opcheck(raw("attn_biased"), (q[0], k[0], v[0], table, plain._number, 0.25, False), test_utils=tests)
    q, k, v = tensors((200, 2, 16), dtype, device, grad=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.library.opcheck(raw("attention"), (q, k, v, None, pattern._number, 0, 0.25, False))


class Layer(torch.nn.Module):
    def __init__(self, dim=32, heads=2):
        super().__init__()
        self.qkv, self.out, self.heads = torch.nn.Linear(dim, 3 * dim), torch.nn.Linear(dim, dim), heads

    def forward(self, x, pattern):
        q, k, v = self.qkv(x).unflatten(-1, (3, self.heads, -1)).unbind(-3)
        return x + self.out(vicinal.attention(q, k, v, pattern).flatten(-2))


@pytest.mark.parametrize("device", DEVICES)
def test_compile(device):
    """fullgraph, forward and backward; other patterns compile nothing anew after the second."""
    import torch._dynamo.testing
    layer = Layer().to(device)
    counter = torch._dynamo.testing.CompileCounterWithBackend("inductor" if device == "cuda" else "aot_eager")
    torch._dynamo.reset()
    compiled = torch.compile(layer, fullgraph=True, backend=counter)
    kept = []
    for seed in range(5):
        pattern = vicinal.pattern(points(seed=seed), 4.0 + 0.2 * seed)
        kept.append(pattern)
        x = torch.randn(200, 32, device=device)
        with warnings.catch_warnings(), torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            warnings.simplefilter("ignore")
            got, want = compiled(x, pattern), layer(x, pattern)
            close(got, want.double().cpu(), 2e-2 if device == "cuda" else 1e-6)
            grads = torch.autograd.grad(got.float().square().sum(), layer.parameters())
            exact = torch.autograd.grad(want.float().square().sum(), layer.parameters())
        for a, b in zip(grads, exact):
            close(a, b.double().cpu(), 5e-2 if device == "cuda" else 1e-5)
    assert counter.frame_count <= 2
    with torch.no_grad(), torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
        close(compiled(x, pattern), layer(x, pattern).double().cpu(), 2e-2 if device == "cuda" else 1e-6)


@pytest.mark.parametrize("device", DEVICES)
def test_vmap(device):
    dtype = torch.float32 if device == "cpu" else torch.float16
    pattern = periodic()
    q, k, v = tensors((3, 200, 2, 16), dtype, device)
    want = vicinal.attention(q, k, v, pattern)
    calls = []
    assert torch.equal(torch.vmap(lambda *x: calls.append(1) or vicinal.attention(*x, pattern))(q, k, v), want)
    moved = torch.vmap(lambda *x: vicinal.attention(*x, pattern), in_dims=(1, None, 2), out_dims=1)(
        q.transpose(0, 1), k[0], v.movedim(0, 2))
    assert torch.equal(moved.transpose(0, 1), vicinal.attention(q, k[:1].expand_as(k), v, pattern))
    five = torch.stack([q, 2 * q]), torch.stack([k, k]), torch.stack([v, -v])
    assert torch.equal(torch.vmap(lambda *x: vicinal.attention(*x, pattern))(*five)[0], want)


@pytest.mark.parametrize("transform", [
    lambda f: lambda x: torch.vmap(f)(torch.stack([x, x])), lambda f: lambda x: torch.func.grad(lambda y: f(y).sin().sum())(x),
    lambda f: lambda x: torch.func.jvp(f, (x,), (x,))[1]])
def test_transforms_in_compiled_functions(transform):
    pattern = periodic(40)
    q, k, v = tensors((40, 1, 8))
    torch._dynamo.reset()
    function = transform(lambda x: vicinal.attention(x, k, v, pattern))
    close(torch.compile(function, backend="aot_eager")(q), function(q).double(), 1e-5)


def test_scales_of_compiled_functions():
    pattern = periodic(40)
    q, k, v = tensors((40, 1, 8))
    torch._dynamo.reset()
    compiled = torch.compile(lambda s: vicinal.attention(q, k, v, pattern, scale=s), fullgraph=True, backend="aot_eager")
    for scale in (0.1, 0.2, 0.7, None, 3):
        close(compiled(scale), oracle(q, k, v, pattern, scale)[0], 2e-6)


@pytest.mark.gpu
def test_cuda_graph():
    """Replays follow the inputs; a plan must be there before; a captured pattern cannot be updated."""
    pattern = periodic()
    q, k, v = tensors((200, 2, 64), torch.float16, "cuda")
    fresh = periodic(200, 4.0)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        vicinal.attention(q, k, v, pattern)
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        out = vicinal.attention(q, k, v, pattern)
    for _ in range(3):
        q.normal_()
        graph.replay()
        assert torch.equal(out, vicinal.attention(q, k, v, pattern))
    with pytest.raises(vicinal.ArgumentError, match="captured"):
        pattern.update_(points())
    other = torch.cuda.CUDAGraph()
    with pytest.raises(Exception, match="before the capture"):
        with torch.cuda.graph(other):
            vicinal.attention(q, k, v, fresh)
    torch.cuda.synchronize()


@pytest.mark.gpu
def test_streams():
    """Work goes onto torch's current stream: behind a long kernel there, its inputs are what that leaves."""
    pattern = periodic()
    q, k, v = tensors((200, 2, 64), torch.float16, "cuda")
    want = vicinal.attention(2 * q, k, v, pattern)
    torch.cuda.synchronize()
    with torch.cuda.stream(torch.cuda.Stream()):
        late = torch.zeros_like(q)
        torch.cuda._sleep(20_000_000)
        late.copy_(2 * q)
        got = vicinal.attention(late, k, v, pattern)
        torch.cuda.current_stream().synchronize()
    assert torch.equal(got, want)


# ---- Patterns that go, threads, processes ----

def test_stale_number():
    pattern = periodic()
    q, k, v = tensors((200, 2, 16))
    number = pattern._number
    vicinal.attention(q, k, v, pattern)
    del pattern
    gc.collect()
    again = periodic()  # takes the place, not the number
    with pytest.raises(RuntimeError, match="pattern of this call is gone"):
        raw()(q, k, v, number, NAN, False)
    assert again._number != number


def test_update():
    pattern = vicinal.pattern(points(), 5.0)
    q, k, v = tensors((200, 2, 16))
    vicinal.attention(q, k, v, pattern)
    moved = points() + np.random.default_rng(3).normal(0, 0.3, (200, 3))
    assert pattern.update_(moved) is pattern
    assert torch.equal(vicinal.attention(q, k, v, pattern), vicinal.attention(q, k, v, vicinal.pattern(moved, 5.0)))


def test_threads():
    pattern = periodic()
    sets = [tensors((200, heads, 8 * (1 + i % 3))) for i, heads in enumerate((1, 2, 3, 4) * 2)]
    wants = [vicinal.attention(*s, periodic()) for s in sets]
    wrong = []

    def work(q, k, v, want):
        for _ in range(50):
            if not torch.equal(vicinal.attention(q, k, v, pattern), want):
                wrong.append(q.shape)
    threads = [threading.Thread(target=work, args=(*s, w)) for s, w in zip(sets, wants)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_fork():
    """A child goes on with the pattern and plans of its parent, with threads of its own."""
    pattern = periodic()
    q, k, v = tensors((200, 2, 16))
    want = vicinal.attention(q, k, v, pattern).numpy().copy()
    numbers = [x.numpy() for x in (q, k, v)]
    child = os.fork()
    if child == 0:
        good = False
        try:
            good = np.array_equal(vicinal.attention(*numbers, pattern), want) and periodic().n_pairs == pattern.n_pairs
        finally:
            os._exit(0 if good else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_by_ctypes():
    """The way for a torch that lacks the stable C interface gives the same bits."""
    script = """
import sys, torch, vicinal
torch.manual_seed(5)
pattern = vicinal.pattern(torch.rand(100, 3) * 12, 5.0)
q, k, v = (torch.randn(2, 100, 3, 16) for _ in range(3))
out, lse = vicinal.attention(q, k, v.transpose(1, 2).contiguous().transpose(1, 2), pattern, return_lse=True)
biased = vicinal.attention(q, k, v, pattern, bias=vicinal.DistanceBias.linear([-1., 0., 1.], 5.0))
from vicinal import _torch
print(_torch.from_c, out.double().sum().item().hex(), lse.double().sum().item().hex(), biased.double().sum().item().hex())
try:
    vicinal.attention(q[:, :50], k, v, pattern)
except vicinal.ArgumentError as error:
    print(error)
"""
    answers = [subprocess.run([sys.executable, "-c", script], capture_output=True, encoding="utf-8", check=True, env={
        **os.environ, "VIC_TORCH_OPERATOR": way, "PYTHONPATH": os.pathsep.join(sys.path)}).stdout for way in ("c", "ctypes")]
    assert answers[0].startswith("True") and answers[1].startswith("False")
    assert answers[0].split()[1:] == answers[1].split()[1:] and "the pattern has 100 queries" in answers[0]


# ---- Errors ----

@pytest.mark.parametrize("change, text", [
    (lambda q, k, v: (q[:, :100], k, v), "q: the pattern has 200 queries, got shape"),
    (lambda q, k, v: (q.transpose(1, 2), k.transpose(1, 2), v.transpose(1, 2)), r"Then give q.swapaxes\(1, 2\)"),
    (lambda q, k, v: (q, k[..., :8], v), "k: expected the head size of q, 16"),
    (lambda q, k, v: (q, k[:, :, :1], v), "as many heads in both"),
    (lambda q, k, v: (q.double(), k.double(), v.double()), "backend='reference'"),
    (lambda q, k, v: [x.to(torch.complex64) for x in (q, k, v)], "q: expected float32, .* got complex64"),
    (lambda q, k, v: [x.int() for x in (q, k, v)], "q: expected float32, .* got int32"),
    (lambda q, k, v: (q, k.half(), v), "k: expected the type of q, torch.float32"),
    (lambda q, k, v: (q[:1], k, v), "expected the batch of q, 1"),
    (lambda q, k, v: (q[0], k, v), "k: expected .* alike in q, k and v"),
    (lambda q, k, v: (q, k.numpy(), v), "k: expected a torch tensor"),
    (lambda q, k, v: (q.repeat(1, 1, 1, 9), k.repeat(1, 1, 1, 9), v), "head sizes up to 128, got 144"),
    (lambda q, k, v: (q[0, 0, 0, 0], k, v), r"q: expected \[n, heads, d\] .* got shape \(\)"),
    (lambda q, k, v: (q, k[0, 0, 0, 0], v), r"k: expected .* got shape \(\)"),
    (lambda q, k, v: (q[..., :0], k[..., :0], v), "head sizes from 1 on"),
    (lambda q, k, v: (q, k.to("meta"), v), "k: expected the device of q, cpu, got meta"),  # memory as it was, in silence
    (lambda q, k, v: (q, k, v.to("meta").requires_grad_()), "v: expected the device of q, cpu, got meta"),
    (lambda q, k, v: (q.to_sparse(), k, v), r"q: expected a dense tensor .* give q.to_dense\(\)"),
    (lambda q, k, v: (q, k, torch.quantize_per_tensor(v, 0.1, 0, torch.qint8)), r"v: .* give v.dequantize\(\)"),
    (lambda q, k, v: (torch.nested.nested_tensor([q[0]]), k, v), "q: .* got a nested one"),
])
def test_errors(change, text):
    pattern = periodic()
    with pytest.raises(vicinal.Error, match=text):
        vicinal.attention(*change(*tensors((2, 200, 2, 16))), pattern)


def test_wrong_pattern_and_options():
    pattern = periodic()
    q, k, v = tensors((200, 2, 16))
    for wrong, options, text in ((None, {}, "vicinal.pattern"), (pattern, {"backend": "cuda"}, "'auto' or 'reference'"),
                                 (pattern, {"bias": 3.0}, "DistanceBias"), (pattern, {"bias": torch.zeros(2, 8)}, r"\[pairs, heads\]"),
                                 (pattern, {"compute_dtype": "float8"}, "compute_dtype"),
                                 (pattern, {"scale": NAN}, "scale: expected a finite number"),
                                 (pattern, {"scale": float("inf"), "backend": "reference"}, "scale: expected a finite"),
                                 (pattern, {"scale": 1j}, "scale: expected a number"),
                                 (pattern, {"scale": torch.ones(2)}, "scale: expected a number"),
                                 (pattern, {"scale": torch.tensor(1.0, requires_grad=True)}, "multiply q by it"),
                                 (pattern, {"bias": vicinal.DistanceBias.cosine(4.0)}, "bias: .* cutoff of 4 A"),
                                 (vicinal.windows(200), {"bias": vicinal.DistanceBias.cosine(5.0)}, "cutoff")):
        with pytest.raises(vicinal.ArgumentError, match=text):
            vicinal.attention(q, k, v, wrong, **options)
    for wrong in (q.int(), q > 0, q.to(torch.complex64)):
        with pytest.raises(vicinal.ArgumentError, match="q: expected floating-point tensors"):
            vicinal.attention(wrong, wrong, wrong, pattern, backend="reference")


@pytest.mark.parametrize("device", DEVICES)
def test_empty_batch(device):
    pattern = periodic()
    for grad in (False, True):
        q, k, v = tensors((0, 200, 2, 16), torch.float32 if device == "cpu" else torch.float16, device, grad=grad)
        out, lse = vicinal.attention(q, k, v, pattern, return_lse=True)
        assert out.shape == (0, 200, 2, 16) and lse.shape == (0, 200, 2)
        if grad:
            assert torch.autograd.grad(out.sum() + lse.sum(), q)[0].shape == q.shape


def test_memory_of_calls_and_errors():
    """Neither calls nor errors leave tensors behind."""
    resource = pytest.importorskip("resource")
    pattern = periodic()
    q, k, v = tensors((200, 4, 32))
    wrong = q[:100]

    def rounds(n):
        for _ in range(n):
            vicinal.attention(q, k, v, pattern)
            with pytest.raises(RuntimeError):
                raw()(wrong, k, v, pattern._number, NAN, False)
            vicinal.attention(torch.stack([q, q], -1)[..., 0], k, v, pattern)  # copied
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    before = rounds(200)
    assert rounds(1000) - before < 40_000  # kB; one leaked tensor a round would be 100,000

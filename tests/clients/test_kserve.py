# SPDX-License-Identifier: Apache-2.0
"""KServe's own client, over REST."""
import asyncio

import httpx
import numpy as np
import pytest
from kserve import InferInput, InferRequest
from kserve.inference_client import InferenceRESTClient, RESTConfig

from conftest import ATOMS, HEADS, SIZE


def request(case, binary, names="QKV"):
    made = []
    for name in names:
        made.append(InferInput(name=name, shape=[ATOMS, HEADS, SIZE], datatype="FP32"))
        made[-1].set_data_from_numpy(case.tensors[name], binary_data=binary)
    return InferRequest(model_name="cloud", infer_inputs=made)


def ask(served, steps):
    """Runs steps(client) with a client of the second protocol."""
    async def run():
        client = InferenceRESTClient(RESTConfig(protocol="v2", retries=1))
        try:
            return await steps(client)
        finally:
            await client.close()
    return asyncio.run(run())


def test_health(served):
    async def steps(client):
        assert await client.is_server_live(served.url) and await client.is_server_ready(served.url)
        assert await client.is_model_ready(served.url, "cloud")
    ask(served, steps)


@pytest.mark.parametrize("binary", [True, False])
def test_inference(served, case, binary):
    async def steps(client):
        return await client.infer(served.url, request(case, binary), model_name="cloud")
    answer = ask(served, steps)
    (out,) = [o for o in answer.outputs if o.name == "O"]
    got = out.as_numpy()
    assert got.shape == case.out.shape and got.astype(np.float32).tobytes() == case.out.tobytes()


def test_what_is_refused(served, case):
    async def steps(client):
        with pytest.raises(httpx.HTTPStatusError) as caught:
            await client.infer(served.url, request(case, True), model_name="absent")
        assert caught.value.response.status_code == 404 and "absent" in str(caught.value)
        with pytest.raises(httpx.HTTPStatusError) as caught:
            await client.infer(served.url, request(case, True, "QK"), model_name="cloud")
        assert caught.value.response.status_code == 400 and "'V'" in str(caught.value)
    ask(served, steps)

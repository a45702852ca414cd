# SPDX-License-Identifier: Apache-2.0
"""The short form of soak.py, and that it sees what it is there for."""
import random

import soak
import soak_truth

from conftest import reference


def test_short(binary, tmp_path):
    assert soak.soak(binary, tmp_path, requests=2400, allow_mib=64)


def test_sees_wrong_bits_and_growth(binary, tmp_path, capsys, monkeypatch):
    """The last bit of a float32 in each fifteenth binary answer."""
    count, answer_of = [0], soak.Worker.answer

    def answer(worker, send):
        found = answer_of(worker, send)
        if found.status == 200 and found.json_size < len(found.body):
            count[0] += 1
            if count[0] % 15 == 0:
                found.body = found.body[:-4] + bytes([found.body[-4] ^ 1]) + found.body[-3:]
        return found

    monkeypatch.setattr(soak.Worker, "answer", answer)
    assert not soak.soak(binary, tmp_path, requests=600, allow_mib=-1000)
    said = capsys.readouterr()
    assert "not the bits of the first answer" in said.err and "wrong answers: 0" not in said.out
    assert "unexpected: resident memory grew" in said.err


def test_sees_a_death(binary, tmp_path, capsys):
    class Killed(soak.Soak):
        def quiet(self):
            self.server.process.kill()
            super().quiet()

    assert not soak.soak(binary, tmp_path, requests=200, allow_mib=64, kind=Killed)
    assert "the server ended with -9" in capsys.readouterr().err


def test_sees_other_positions():
    """Whether the update's own answer comes before or after another one that names its version, or never."""
    model = soak_truth.Model("moving", 20, 6, 3, 2, 8, states=3)

    def versions():
        return soak_truth.Versions(model, soak_truth.Oracle(None, None, 1000, random.Random(1)))

    def arrays(geometry):
        return {"O": reference(model.geometries[geometry][0], 3, *model.inputs[2][0].values())[0].astype("float32")}

    v = versions()
    assert v.learn(2, 1) == [] and v.seen(2, 0, arrays(1)) == [] and v.seen(1, 0, arrays(0)) == []
    assert v.seen(2, 0, arrays(2)) == [f"{('moving', 1, 2, 0, 'O')}: not the bits of the first answer"]
    assert v.settle(2, 0) == [] and v.settle(3, 1) == []
    assert "2 are known" in v.settle(3, 0)[0] and "2 are known" in v.settle(1, 0)[0]
    assert "two updates" in v.learn(2, 1)[0]

    v = versions()
    assert v.seen(2, 0, arrays(1)) == [] and v.learn(2, 1) == []
    v = versions()
    assert v.seen(2, 0, arrays(1)) == [] and "not what NumPy computes" in v.learn(2, 2)[0]
    v = versions()
    assert v.seen(2, 0, arrays(1)) == [] and v.settle(2, 1) == [] and v.known == {1: 0, 2: 1}
    v = versions()
    assert v.seen(2, 0, {"O": arrays(1)["O"] + 1}) == [] and "no positions that were sent" in v.settle(2, 1)[0]

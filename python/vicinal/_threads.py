# SPDX-License-Identifier: Apache-2.0
"""Threads of the CPU, and what this build and machine have."""
from . import _c
from ._points import whole


def set_num_threads(n):
    """Threads of the CPU that patterns and attention use from now on, whichever thread calls them; 0 = all processors
    that this process may use, which is the default.  Results have the same bits whatever it is."""
    _c.call("vicpy_set_threads", whole(n, "n", 0, 1024))


def get_num_threads():
    """Threads of the CPU that patterns and attention use."""
    return _c.filled("vic_context_get", "vic_context_info", _c.context()).threads


def environment():
    """What there is, as a dict: version, build, devices [(name, detail)], kernels {name: "" or why it is not available}."""
    library = _c.library()
    devices, kernels = [], {}
    while True:
        info = _c.STRUCTS["vic_device_info"]()
        try:
            _c.call("vic_device_get", len(devices), _c.c.addressof(info))
        except _c.DeviceError:
            break
        devices.append((info.name.decode(), info.detail.decode()))
    for index in range(library.vic_kernel_count()):
        info = _c.STRUCTS["vic_kernel_info"]()
        _c.call("vic_kernel_get", index, _c.c.addressof(info))
        kernels[info.name.decode()] = info.reason.decode()
    return {"version": library.vic_version().decode(), "build": library.vic_build_info().decode(), "devices": devices,
            "kernels": kernels}

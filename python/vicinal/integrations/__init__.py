# SPDX-License-Identifier: Apache-2.0
"""vicinal inside other libraries' models; each module imports its library when it is imported itself."""
import importlib

_MODULES = ("transformers",)


def __getattr__(name):
    if name in _MODULES:
        return importlib.import_module("vicinal.integrations." + name)
    raise AttributeError(f"module 'vicinal.integrations' has no attribute {name!r}")


def __dir__():
    return sorted([*globals(), *_MODULES])

"""What a command that is over in a second need not wait for."""

from __future__ import annotations

import contextlib
import gc
import os
from collections.abc import Iterator

_PLUGINS_VARIABLE = "PYDANTIC_DISABLE_PLUGINS"


@contextlib.contextmanager
def collection_paused() -> Iterator[None]:
    """Collect no garbage while modules are imported: what they make is there to stay.

    What is there at the end is left alone by later collections too.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.freeze()
            gc.enable()


def without_plugins() -> None:
    """Let pydantic not look for plugins, for which it reads what is known of every package.

    A value that the user has set stays.
    """
    os.environ.setdefault(_PLUGINS_VARIABLE, "__all__")

"""Headwater: which source model should I start from for this target task, and how do I know?

``import headwater as hw`` is the public face; ``__init__.pyi`` lists its names. Each is imported
when it is first used, so that importing Headwater costs milliseconds and needs neither torch nor
ray. A name of the measuring layer says what to install where that layer is missing.
"""

import lazy_loader

_load, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)


def __getattr__(name: str) -> object:
    try:
        return _load(name)
    except ImportError as error:
        from headwater.registry.layers import is_of_run_layer, missing_layer

        if not is_of_run_layer(error):
            raise
        raise missing_layer(f"headwater.{name}") from error

"""Headwater: which source model should I start from for this target task, and how do I know?

``import headwater as hw`` is the public face; ``__init__.pyi`` lists its names. Each is imported
when it is first used, so that importing Headwater costs milliseconds and needs neither torch nor
ray.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

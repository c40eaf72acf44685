"""Which of a bundle's programs is opened: the first whose runtime can run here."""

import logging

from diptych.core.errors import BundleError, ConfigError, MissingExtraError
from diptych.core.manifest import Manifest
from diptych.core.text import nearest
from diptych.core.values import Program
from diptych.inference.runtimes import RUNTIMES, available, obstacle, remedy

logger = logging.getLogger(__name__)


def choose(manifest: Manifest, runtime: str | None) -> Program:
    """Choose a program that can run here.

    Args:
        manifest: The bundle.
        runtime: The runtime to use; None for any.

    Returns:
        The first that fits; a warning is logged where one before it cannot run.

    Raises:
        ConfigError: If there is no such runtime.
        BundleError: If the bundle has no program for it.
        MissingExtraError: If no runtime that would do is installed.
    """
    if runtime is not None and runtime not in RUNTIMES:
        raise ConfigError(f"unknown runtime {runtime!r}", nearest(runtime, RUNTIMES))
    fitting = [item for item in manifest.programs if runtime in (None, item.runtime)]
    if not fitting:
        known = ", ".join(sorted({item.runtime for item in manifest.programs}))
        raise BundleError(f"the bundle has no program for {runtime!r}", f"it has: {known}")
    usable = [item for item in fitting if available(item.runtime)]
    if not usable:
        wanted = fitting[0].runtime
        raise MissingExtraError(
            f"this bundle needs the runtime {wanted!r}: {_reason(wanted)}",
            remedy(wanted) if wanted in RUNTIMES else "pip install --upgrade diptych",
        )
    if usable[0] is not fitting[0]:
        logger.warning(
            "%s: using %r in place of %r, which was the one chosen",
            _reason(fitting[0].runtime),
            usable[0].name,
            fitting[0].name,
        )
    return usable[0]


def _reason(runtime: str) -> str:
    return obstacle(runtime) if runtime in RUNTIMES else f"{runtime} is not installed"

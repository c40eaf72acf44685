"""Which program is opened."""

import pytest
from msgspec import structs

from diptych.core.errors import BundleError, ConfigError, MissingExtraError
from diptych.inference.programs import choose


def test_the_first_program_is_chosen_and_that_of_a_runtime_where_one_is_named(tiny):
    assert choose(tiny.manifest, None).name == "fp32-onnxruntime"
    assert choose(tiny.manifest, "openvino").name == "fp32-openvino"


def test_the_next_is_chosen_with_a_warning_where_the_first_cannot_run(tiny, caplog):
    stranger = structs.replace(tiny.manifest.programs[0], name="stranger", runtime="strange")
    known = tiny.manifest.programs[1]
    manifest = structs.replace(tiny.manifest, programs=(stranger, known))
    assert choose(manifest, None) is known
    assert "strange is not installed" in caplog.text
    with pytest.raises(MissingExtraError, match="'strange'"):
        choose(structs.replace(manifest, programs=(stranger,)), None)


def test_a_runtime_that_is_unknown_or_not_in_the_bundle_is_refused(tiny):
    with pytest.raises(ConfigError, match="unknown runtime 'openvin'"):
        choose(tiny.manifest, "openvin")
    only = structs.replace(tiny.manifest, programs=tiny.manifest.programs[:1])
    with pytest.raises(BundleError, match="no program for 'openvino'"):
        choose(only, "openvino")

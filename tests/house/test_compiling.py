"""Tests run with any version of the compiler: flags that it doesn't know are left out."""

import pytest
from support import compiling

COUNT = "--xla_force_host_platform_device_count=1"
NEVER, NEVER_EITHER = "--xla_no_such_flag=true", "--xla_nor_this=1"


def test_only_flags_that_the_compiler_knows_are_set():
    assert compiling.known([NEVER, COUNT, NEVER_EITHER]) == [COUNT]


def test_other_faults_are_reported():
    with pytest.raises(RuntimeError, match="perhaps"):
        compiling.known(["--xla_cpu_enable_fast_min_max=perhaps"])

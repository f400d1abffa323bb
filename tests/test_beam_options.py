"""``--beam.NAME=VALUE`` as Beam takes it."""

import pytest

pytest.importorskip("apache_beam")

from apache_beam.options.pipeline_options import (
    DebugOptions,
    DirectOptions,
    FlinkRunnerOptions,
    GoogleCloudOptions,
    PortableOptions,
    SetupOptions,
    StandardOptions,
    TypeOptions,
    WorkerOptions,
)

from kmir.beam_options import pipeline_options
from kmir.errors import UsageError


def test_without_options_it_runs_on_this_machine() -> None:
    options = pipeline_options({})
    assert options.view_as(StandardOptions).runner == "DirectRunner"
    assert options.view_as(TypeOptions).allow_unsafe_triggers  # Beam's own runner, no download
    assert options.view_as(DirectOptions).direct_num_workers == 1


def test_options_of_the_direct_runner() -> None:
    flags = {"direct_num_workers": "2", "direct_running_mode": "multi_processing"}
    direct = pipeline_options(flags).view_as(DirectOptions)
    assert (direct.direct_num_workers, direct.direct_running_mode) == (2, "multi_processing")


def test_options_of_flink() -> None:
    options = pipeline_options(
        {
            "runner": "flink",
            "flink_master": "head:8081",
            "parallelism": "8",
            "environment_type": "DOCKER",
            "environment_config": "registry/kmir:1",
        }
    )
    assert options.view_as(StandardOptions).runner == "FlinkRunner"
    assert not options.view_as(TypeOptions).allow_unsafe_triggers
    assert options.view_as(FlinkRunnerOptions).flink_master == "head:8081"
    portable = options.view_as(PortableOptions)
    assert (portable.environment_type, portable.environment_config) == ("DOCKER", "registry/kmir:1")
    assert options.get_all_options()["parallelism"] == 8


def test_options_of_dataflow() -> None:
    options = pipeline_options(
        {
            "runner": "DataflowRunner",
            "project": "music",
            "region": "europe-west1",
            "temp_location": "gs://bucket/temp",
            "num_workers": "4",
            "no_use_public_ips": "true",
            "use_public_ips": "false",
            "experiments": "one,two",
            "sdk_container_image": "registry/kmir:1",
            "requirements_file": "requirements.txt",
        }
    )
    cloud = options.view_as(GoogleCloudOptions)
    assert (cloud.project, cloud.region) == ("music", "europe-west1")
    workers = options.view_as(WorkerOptions)
    assert (workers.num_workers, workers.use_public_ips) == (4, False)
    assert workers.sdk_container_image == "registry/kmir:1"
    assert set(options.view_as(DebugOptions).experiments) >= {"one", "two"}
    setup = options.view_as(SetupOptions)
    assert setup.requirements_file == "requirements.txt"
    assert not setup.save_main_session


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("direct_num_worker", "2", r"^Unknown setting --beam\.direct_num_worker\. Did you mean 'd"),
        ("direct_num_workers", "two", r"Received: --beam\.direct_num_workers: invalid int value"),
        ("direct_running_mode", "fast", r"Received: --beam\.direct_running_mode: invalid choice"),
        ("streaming", "maybe", r"^Expected --beam\.streaming as true or false\. Received: 'maybe'"),
        ("runner", "Flinkrunne", r"Received: 'Flinkrunne'\. Did you mean 'FlinkRunner'\?$"),
        ("help", "true", r"^Unknown setting --beam\.help\."),
    ],
)
def test_wrong_options_are_told_in_one_line(name: str, value: str, message: str) -> None:
    with pytest.raises(UsageError, match=message) as told:
        pipeline_options({name: value})
    assert "\n" not in str(told.value)

from pathlib import Path

from benchmarks.machine import largest_cache, processor_name, seconds_waited


def test_the_processor_is_named_as_linux_names_it(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel\t\t: 85\nmodel name\t: Some Processor: fast\n")

    assert processor_name(cpuinfo) == "Some Processor: fast"


def test_the_largest_cache_is_found_whatever_its_unit(tmp_path: Path) -> None:
    for index, size in enumerate(("48K", "2M", "1536K")):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "size").write_text(size + "\n")

    assert largest_cache(tmp_path) == 2 * 2**20
    assert largest_cache(tmp_path / "none") == 0


def test_the_time_that_others_had_the_processor_is_the_second_number(tmp_path: Path) -> None:
    schedule = tmp_path / "schedstat"
    schedule.write_text("900000000 2500000000 77\n")

    assert seconds_waited(schedule) == 2.5
    assert seconds_waited(tmp_path / "none") == 0

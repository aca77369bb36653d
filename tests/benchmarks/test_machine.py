from pathlib import Path

from benchmarks.machine import caches, processor_name, seconds_waited


def test_the_processor_is_named_as_linux_names_it(tmp_path: Path) -> None:
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor\t: 0\nmodel\t\t: 85\nmodel name\t: Some Processor: fast\n")

    assert processor_name(cpuinfo) == "Some Processor: fast"


def test_the_caches_of_data_are_found_whatever_their_units(tmp_path: Path) -> None:
    for index, (kind, size) in enumerate((("Unified", "2M"), ("Data", "48K"), ("Instruction", "32K"))):
        (tmp_path / f"index{index}").mkdir()
        (tmp_path / f"index{index}" / "size").write_text(size + "\n")
        (tmp_path / f"index{index}" / "type").write_text(kind + "\n")

    assert caches(tmp_path) == [48 * 2**10, 2 * 2**20]
    assert caches(tmp_path / "none") == []


def test_the_time_that_others_had_the_processor_is_the_second_number(tmp_path: Path) -> None:
    schedule = tmp_path / "schedstat"
    schedule.write_text("900000000 2500000000 77\n")

    assert seconds_waited(schedule) == 2.5
    assert seconds_waited(tmp_path / "none") == 0

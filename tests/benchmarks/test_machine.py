from pathlib import Path

from benchmarks.machine import largest_cache, processor_name


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

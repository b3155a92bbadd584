"""The change signal: one growing number that every process of the machine sees at once."""

from __future__ import annotations

import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from retrieval.errors import StoreCorrupt, StoreUnavailable
from retrieval.stores.revision_signal import RevisionSignal

PUBLISHER = """
import sys
from pathlib import Path
from retrieval.stores.revision_signal import RevisionSignal
signal = RevisionSignal(Path(sys.argv[1]))
for seq in range(int(sys.argv[2]), int(sys.argv[3]), 2):
    signal.publish(seq)
"""


def test_a_new_signal_reads_zero(tmp_path: Path) -> None:
    with closing(RevisionSignal(tmp_path / "seq")) as signal:
        assert signal.read() == 0


def test_what_one_publishes_every_other_reads(tmp_path: Path) -> None:
    with closing(RevisionSignal(tmp_path / "seq")) as one, closing(RevisionSignal(tmp_path / "seq")) as other:
        one.publish(7)
        assert other.read() == 7
        other.publish(2**40 + 1)
        assert one.read() == 2**40 + 1


def test_the_number_never_goes_back(tmp_path: Path) -> None:
    with closing(RevisionSignal(tmp_path / "seq")) as signal:
        signal.publish(9)
        signal.publish(3)
        assert signal.read() == 9


def test_the_number_outlives_its_processes(tmp_path: Path) -> None:
    with closing(RevisionSignal(tmp_path / "seq")) as signal:
        signal.publish(5)
    with closing(RevisionSignal(tmp_path / "seq")) as signal:
        assert signal.read() == 5


def test_processes_that_publish_at_once_end_at_the_highest_number(tmp_path: Path) -> None:
    with closing(RevisionSignal(tmp_path / "seq")) as signal:
        command = [sys.executable, "-c", PUBLISHER, str(tmp_path / "seq")]
        writers = [subprocess.Popen([*command, str(start), str(end)]) for start, end in ((1, 3002), (2, 2001))]
        seen = [signal.read()]
        while any(writer.poll() is None for writer in writers):
            seen.append(signal.read())
        assert [writer.returncode for writer in writers] == [0, 0]
        assert seen == sorted(seen)
        assert signal.read() == 3001


def test_threads_that_publish_at_once_end_at_the_highest_number(tmp_path: Path) -> None:
    with closing(RevisionSignal(tmp_path / "seq")) as signal:

        def work(first: int) -> None:
            for seq in range(first, 2000, 4):
                signal.publish(seq)

        threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert signal.read() == 1999


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    signal = RevisionSignal(tmp_path / "seq")
    signal.close()
    signal.close()


def test_a_damaged_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "seq").write_bytes(b"\xff" * 8)
    with pytest.raises(StoreCorrupt, match="delete it"):
        RevisionSignal(tmp_path / "seq")


def test_a_missing_folder_is_told(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="data folder"):
        RevisionSignal(tmp_path / "none" / "seq")

"""What is saved while we write."""

from pathlib import Path

from optsync.model.change import Result, Write, WriteKind
from optsync_csv.disk import Disk
from optsync_csv.tests.test_connector import SPEC, TWO, Place


def test_an_opt_in_that_has_to_be_done_again_is_not_written_over_the_opt_out_for_which_it_had_to(
    tmp_path: Path,
) -> None:
    place = Place(tmp_path, TWO)

    class Hurried(Disk):
        """Somebody saves Ann's opt-out between our reading and our writing."""

        saves = 1

        def replace(self, content: bytes, *, before: bytes) -> None:
            if Hurried.saves:
                Hurried.saves -= 1
                place.path.write_text(place.text().replace("Ann,,yes", "Ann,yes,yes"), encoding="utf-8")
            super().replace(content, before=before)

    place.csv._store._disk = Hurried(place.path)
    write = Write(key="in", kind=WriteKind.STATUS, collection="contact", record="1", fields={"opt_out": False})
    (outcome,) = place.csv.write([write], SPEC)

    assert "Ann,yes,yes" in place.text()
    assert outcome.result is Result.FAILED

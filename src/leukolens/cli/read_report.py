"""Makes the reports of samples that are read with one reader."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import leukolens
from leukolens.differential.ranges import load_ranges
from leukolens.report.counting import Asked, counted_report, settings
from leukolens.report.sample import Origin, SampleReport

if TYPE_CHECKING:
    from leukolens.cli.read_fields import Reads
    from leukolens.reading.cell import FieldReading


class Reporter:
    """Makes the reports of samples that are read with one reader.

    Args:
        reader: What their fields are read with.
        asked: What else bears on them.

    Raises:
        LeukolensError: Where the reference ranges cannot be read.
    """

    def __init__(self, reader: Reads, asked: Asked) -> None:
        self._asked, self._card = asked, reader.bundle.card
        self._ranges = load_ranges(asked.ranges).for_person(asked.age, asked.sex)
        self.origin = Origin(
            leukolens.__version__,
            reader.bundle.card.name,
            reader.bundle.sha256,
            reader.engine,
            settings(asked),
            reader.bundle.card.caution,
        )

    def report(self, name: str, fields: Iterable[FieldReading]) -> SampleReport:
        """The report of a sample.

        Args:
            name: The sample's name.
            fields: Its fields, in reading order, failed ones too.
        """
        return counted_report(
            name, fields, card=self._card, origin=self.origin, ranges=self._ranges, asked=self._asked
        )

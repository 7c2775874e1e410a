"""What was found in the samples of a config, added up."""

from collections import Counter
from typing import Any, Dict, Iterable, List, NamedTuple, Sequence, Set, Tuple

from .checking import Checked
from .checks import Finding, Kind
from .sources import Source


class Found(NamedTuple):
    """A finding and where it belongs.

    Args:
        source (int): Number of the dataset.
        index (int): Of the sample.
        finding (Finding): Of one of its files.
    """

    source: int
    index: int
    finding: Finding


class Result:
    """Adds up what was found of the samples.

    Args:
        sources (Sequence[Source]): The datasets.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources
        self._found: List[Found] = []
        self._first_of: Dict[Tuple[str, str], str] = {}

    def add(self, samples: Iterable[Checked]) -> int:
        """Take in some samples.

        Args:
            samples (Iterable[Checked]): In their order.

        Returns:
            int: How many of them have a fault.
        """
        faulty = 0
        for sample in samples:
            findings = [*sample.findings, *self._duplicates(sample)]
            faulty += any(finding.is_fault for finding in findings)
            self._found += [
                Found(sample.source, sample.index, f) for f in findings
            ]
        return faulty

    def _duplicates(self, sample: Checked) -> List[Finding]:
        """An image that this loader has already, or the training."""
        if sample.digest is None:
            return []
        source = self.sources[sample.source]
        path = source.dataset.get_data_info(sample.index)['img_path']
        known = [
            f'{self._first_of[loader, sample.digest]} of {loader}'
            for loader in dict.fromkeys((source.loader, 'train'))
            if (loader, sample.digest) in self._first_of
        ]
        self._first_of.setdefault((source.loader, sample.digest), path)
        return [
            Finding(Kind.DUPLICATE, path, f'as {first}', is_fault=False)
            for first in known[:1]
        ]

    @property
    def found(self) -> List[Found]:
        """Everything, as it is to be judged.

        Where a dataset has no mask with any label, it is meant to have none,
        and that is a note.
        """
        ignored = Counter(
            found.source
            for found in self._found
            if found.finding.kind == Kind.IGNORED
        )
        unlabelled = {
            number
            for number, count in ignored.items()
            if count == len(self.sources[number].dataset)
        }
        return [
            found._replace(finding=found.finding._replace(is_fault=False))
            if found.source in unlabelled
            and found.finding.kind == Kind.IGNORED
            else found
            for found in self._found
        ]

    @property
    def samples(self) -> Dict[str, int]:
        """Samples of each loader."""
        samples: Counter = Counter()
        for source in self.sources:
            samples[source.loader] += len(source.dataset)
        return dict(samples)

    @property
    def faulty(self) -> Dict[str, int]:
        """Samples of each loader that have a fault."""
        faulty: Dict[str, Set[Tuple[int, int]]] = {}
        for source in self.sources:
            faulty.setdefault(source.loader, set())
        for found in self.found:
            if found.finding.is_fault:
                loader = self.sources[found.source].loader
                faulty[loader].add((found.source, found.index))
        return {loader: len(places) for loader, places in faulty.items()}

    def exceeding(self, most: float) -> List[str]:
        """Loaders with more faulty samples than allowed.

        Args:
            most (float): Share of a loader's samples, in [0, 1].

        Returns:
            list[str]: Their names.
        """
        samples = self.samples
        return [
            loader
            for loader, count in self.faulty.items()
            if count > most * samples[loader] + 1e-9
        ]

    def by_kind(self) -> Dict[Tuple[str, Kind, bool], List[Finding]]:
        """The findings of each loader and kind, faults first.

        Returns:
            dict[tuple[str, Kind, bool], list[Finding]]: By the loader, the
            kind, and whether it is a fault.
        """
        kinds: Dict[Tuple[str, Kind, bool], List[Finding]] = {}
        for found in self.found:
            finding = found.finding
            loader = self.sources[found.source].loader
            key = (loader, finding.kind, finding.is_fault)
            kinds.setdefault(key, []).append(finding)
        return dict(sorted(kinds.items(), key=lambda item: not item[0][2]))

    def plain(self) -> Dict[str, Any]:
        """All of it, for a JSON file."""
        return dict(
            samples=self.samples,
            faulty_samples=self.faulty,
            findings=[
                dict(
                    loader=self.sources[found.source].loader,
                    dataset=self.sources[found.source].kind,
                    sample=found.index,
                    kind=found.finding.kind.value,
                    is_fault=found.finding.is_fault,
                    path=found.finding.path,
                    reason=found.finding.reason,
                )
                for found in self.found
            ],
        )

"""Which layer of the student learns from which of the teacher."""

from dataclasses import dataclass
from typing import List, Optional

from .layers import Candidate, Found


@dataclass(frozen=True)
class Pair:
    """A layer of each model.

    Attributes:
        student (Candidate): It.
        teacher (Candidate): It.
    """

    student: Candidate
    teacher: Candidate

    @property
    def is_resized(self) -> bool:
        """Whether the student's map must be resized to the teacher's."""
        return self.student.size != self.teacher.size

    @property
    def names(self) -> object:
        """The pair as ``layers`` of a distiller have it."""
        if self.student.name == self.teacher.name:
            return self.student.name
        return dict(student=self.student.name, teacher=self.teacher.name)


def choose_pair(student: Found, teacher: Found) -> Pair:
    """The pair that is distilled by default.

    In front of the classifying convolution of both, where maps of equal size
    go before others, else behind both backbones.

    Args:
        student (Found): What the student offers.
        teacher (Found): What the teacher does.

    Returns:
        Pair: It.

    Raises:
        ValueError: A model has no map.
    """
    pairs = [Pair(s, t) for s in student.head for t in teacher.head]
    if not pairs:
        pairs = [Pair(_last(student, 'student'), _last(teacher, 'teacher'))]
    return next((pair for pair in pairs if not pair.is_resized), pairs[0])


def choose_norms(student: Found, teacher: Found) -> Optional[Pair]:
    """A pair of batch norms, for what compares in front of an activation.

    Args:
        student (Found): What the student offers.
        teacher (Found): What the teacher does.

    Returns:
        Pair | None: None where one has none there.
    """
    if student.norm is None or teacher.norm is None:
        return None
    return Pair(student.norm, teacher.norm)


def choose_stages(student: Found, teacher: Found) -> List[Pair]:
    """Pairs of equal size, from shallow to deep.

    Args:
        student (Found): What the student offers.
        teacher (Found): What the teacher does.

    Returns:
        list[Pair]: Perhaps none.
    """
    by_size = {stage.size: stage for stage in teacher.stages}
    return [
        Pair(stage, by_size[stage.size])
        for stage in student.stages
        if stage.size in by_size
    ]


def describe(pair: Pair) -> str:
    """Why a pair was chosen, and what the maps are.

    Args:
        pair (Pair): It.

    Returns:
        str: Sentences for a comment.
    """
    student, teacher = pair.student, pair.teacher
    where = _sentence(student.where)
    if student.where == teacher.where:
        where += ' in both'
    else:
        where = (
            f'Of the student {student.where}; of the teacher {teacher.where}'
        )
    maps = _shape(student)
    if (student.map, student.is_tokens) != (teacher.map, teacher.is_tokens):
        maps = f'{maps} (student) and {_shape(teacher)} (teacher)'
    text = f'{where}: {maps}.'
    if pair.is_resized:
        text += " The student's map is resized to the teacher's."
    return text


def _shape(candidate: Candidate) -> str:
    shape = ' x '.join(map(str, candidate.map))
    return shape + ' of tokens' * candidate.is_tokens


def _sentence(text: str) -> str:
    return text[0].upper() + text[1:]


def _last(found: Found, role: str) -> Candidate:
    if found.last is None:
        raise ValueError(
            f'--{role}: no layer of its backbone returns a map (B, C, H, W) '
            'or tokens (B, N, C) of one; name layers in a config of your own'
        )
    return found.last

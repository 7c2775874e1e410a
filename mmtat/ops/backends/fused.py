"""The target-aware loss with its gradients, block by block of the query."""

from typing import List, Optional, Sequence, Tuple

import torch
from torch import Tensor

from .backend import Backend, common_dtype, refusal_of_transforms
from .blocks import OfMaps, Workspace


class _FusedLoss(torch.autograd.Function):
    """Computes the gradients in the forward, and keeps only them.

    They are kept as those of half the *sum* of squares: those of the mean
    would underflow in half precision.
    """

    @staticmethod
    def forward(ctx, *maps: Tensor) -> Tensor:
        total, gradients = half_gradients(maps, ctx.needs_input_grad)
        ctx.count = maps[3].numel()
        ctx.dtypes = [feature.dtype for feature in maps]
        ctx.save_for_backward(*gradients)
        return total / ctx.count

    @staticmethod
    def backward(ctx, gradient: Tensor) -> Tuple[Optional[Tensor], ...]:
        if torch.is_grad_enabled():
            raise RuntimeError(
                "backend='fused' has no second derivative (create_graph="
                "True): use backend='plain'"
            )
        factor = gradient * (2 / ctx.count)
        # A graph that is kept may ask for them once more.
        multiply = torch.mul if _is_graph_kept() else Tensor.mul_
        return tuple(
            kept if kept is None else multiply(kept, factor).to(dtype)
            for kept, dtype in zip(ctx.saved_tensors, ctx.dtypes)
        )


def _is_graph_kept() -> bool:
    """Whether the running backward keeps its graph; True if unknown."""
    ask = getattr(
        torch._C._autograd, '_get_current_graph_task_keep_graph', lambda: True
    )
    return ask()


# Tracing would unroll the blocks into one graph.
@torch.compiler.disable
def _loss(query: Tensor, key: Tensor, value: Tensor, target: Tensor) -> Tensor:
    maps = (query, key, value, target)
    if torch.is_grad_enabled() and any(m.requires_grad for m in maps):
        return _FusedLoss.apply(*maps)
    total, _ = half_gradients(maps, [False] * 4)
    return total / target.numel()


def half_gradients(
    maps: Sequence[Tensor], needs: Sequence[bool]
) -> Tuple[Tensor, List[Optional[Tensor]]]:
    """The sum of the squared errors, and half its gradients.

    Args:
        maps (Sequence[Tensor]): Query (N, C, Hq, Wq), key (N, C, Hk, Wk),
            value (N, Cv, Hk, Wk) and target (N, Cv, Hq, Wq), which fit.
        needs (Sequence[bool]): Whose gradient is needed.

    Returns:
        tuple[Tensor, list[Tensor | None]]: A scalar, at least float32; the
        gradients, laid out as the maps.
    """
    dtype = common_dtype(*maps[:3])
    work = Workspace(OfMaps(*maps), dtype)
    gradients = [
        _empty_gradient(feature) if need else None
        for feature, need in zip(maps, needs)
    ]
    total = torch.zeros((), dtype=dtype, device=maps[0].device)
    with torch.no_grad(), torch.autocast(total.device.type, enabled=False):
        for start in range(0, len(maps[0]), work.heads):
            heads = slice(start, start + work.heads)
            # (N, C, H, W) -> (n, C, H*W)
            tokens = OfMaps(*(feature[heads].flatten(2) for feature in maps))
            parts = OfMaps(
                *(
                    None if gradient is None else gradient[heads].flatten(2)
                    for gradient in gradients
                )
            )
            # What blocks are added up in has no less than their precision.
            sums = parts._replace(
                key=_empty_as(parts.key, dtype),
                value=_empty_as(parts.value, dtype),
            )
            tokens = tokens._replace(
                key=tokens.key.to(dtype), value=tokens.value.to(dtype)
            )
            for first in range(0, tokens.query.shape[2], work.rows):
                rows = slice(first, first + work.rows)
                total += _add_rows(tokens, sums, rows, work)
            for part, whole in zip(parts, sums):
                if part is not whole:
                    part.copy_(whole)
    return total, gradients


def _add_rows(
    tokens: OfMaps, sums: OfMaps, rows: slice, work: Workspace
) -> Tensor:
    """Sum of the rows' squared errors; half its gradients go to ``sums``.

    Tokens and sums are (n, C, L). The gradient by the logits is
    ``weights * (slopes - sum_j weights_j slopes_j)``, and that sum is
    ``<errors_i, out_i>``.
    """
    query = tokens.query[:, :, rows].to(tokens.key.dtype)
    weights, slopes, out, errors = work.views(*query.shape[::2])
    # The logits go where the slopes will be.
    _multiply(query.transpose(1, 2), tokens.key, slopes)
    torch.softmax(slopes, dim=-1, out=weights)
    _multiply(tokens.value, weights.transpose(1, 2), out)
    torch.sub(out, tokens.target[:, :, rows], out=errors)
    is_further = rows.start > 0
    if sums.target is not None:
        torch.mul(errors, -1, out=sums.target[:, :, rows])
    if sums.value is not None:
        _multiply(errors, weights, sums.value, add=is_further)
    if sums.query is not None or sums.key is not None:
        _multiply(errors.transpose(1, 2), tokens.value, slopes)
        # (n, Cv, rows) -> (n, rows, 1)
        means = out.mul_(errors).sum(1).unsqueeze(-1)
        slopes.sub_(means).mul_(weights)
    if sums.query is not None:
        part = sums.query[:, :, rows]
        _multiply(tokens.key, slopes.transpose(1, 2), part)
    if sums.key is not None:
        _multiply(query, slopes, sums.key, add=is_further)
    return torch.mul(errors, errors, out=out).sum()


def _multiply(
    left: Tensor, right: Tensor, out: Tensor, add: bool = False
) -> None:
    """``out = left @ right``, or ``out += left @ right``."""
    if out.dtype != left.dtype:
        out.copy_(left @ right)
        return
    if out.stride(-1) != 1:
        # BLAS wants the product's rows in one piece: take its transpose.
        left, right = right.transpose(1, 2), left.transpose(1, 2)
        out = out.transpose(1, 2)
    if add:
        out.baddbmm_(left, right)
    else:
        torch.bmm(left, right, out=out)


def _empty_as(part: Optional[Tensor], dtype: torch.dtype) -> Optional[Tensor]:
    """The part itself, if it is of the dtype."""
    if part is None or part.dtype == dtype:
        return part
    return torch.empty_like(part, dtype=dtype)


def _empty_gradient(feature: Tensor) -> Tensor:
    """Laid out as the map, in its dtype, or one of bfloat16's range.

    A sum of gradients over a large map may leave that of float16.
    """
    layout = torch.contiguous_format
    if not feature.is_contiguous() and feature.is_contiguous(
        memory_format=torch.channels_last
    ):
        layout = torch.channels_last
    dtype = torch.promote_types(feature.dtype, torch.bfloat16)
    return torch.empty_like(feature, dtype=dtype, memory_format=layout)


def _refusal(query: Tensor, key: Tensor, value: Tensor) -> Optional[str]:
    return refusal_of_transforms()


#: Sums over blocks of query rows, with all gradients in the forward: keeps
#: no map of the attention and computes nothing twice. Any widths; float32
#: sums for half precision. Under torch.compile it is a graph break. It has
#: no second derivative.
FUSED = Backend('fused', _loss, _refusal)

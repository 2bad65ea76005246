"""From timed texts to the rows of `evaluate speed`: the arithmetic, and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

DecodingName = Literal["device-only", "lockstep", "paper-schedule", "draft-and-verify"]
Way = Literal["real", "replayed"]

DECODINGS: Final[tuple[DecodingName, ...]] = (
    "device-only",
    "lockstep",
    "paper-schedule",
    "draft-and-verify",
)


@dataclass(frozen=True, slots=True)
class Run:
    """One text that was written by one decoding.

    Attributes:
        ids: the text's tokens.
        tokens: positions that were decided; one more than `ids` if the text ended by itself.
        first_s: seconds until the first token was there; the prompt was read before.
        total_s: seconds until the text had ended.
        accepted, rejected: drafted tokens that were compared with a fused target.
        fallbacks: positions where the device was alone because the cloud failed.
        requests, bytes, round_trips: what went through the egress.
        unknown: prefixes that the replayed cloud did not have in its table.
        served: requests for distributions that the replayed cloud answered.
        served_cpu_s: processor time that it took for them.
        cloud_cpu_s: processor time of the real cloud meanwhile; None where it cannot be told.
        made_again: how many runs before this one met unknown prefixes and do not count.
    """

    ids: tuple[int, ...]
    tokens: int
    first_s: float
    total_s: float
    accepted: int = 0
    rejected: int = 0
    fallbacks: int = 0
    requests: int = 0
    bytes: int = 0
    round_trips: int = 0
    unknown: int = 0
    served: int = 0
    served_cpu_s: float = 0.0
    cloud_cpu_s: float | None = None
    made_again: int = 0

    def __repr__(self) -> str:
        return f"Run({self.tokens} tokens, {self.total_s:.3f} s)"


def tokens_per_s(runs: Sequence[Run]) -> float | None:
    """Tokens after the first over the time after the first, all texts together.

    The time of the first token has the prompt in it, so it is left out for every decoding.
    That favours blocks a little: the first token of a block comes together with the others,
    so their time is left out too. `tokens_per_s_from_start` does not have that fault.
    """
    seconds = sum(run.total_s - run.first_s for run in runs)
    return _ratio(sum(run.tokens - 1 for run in runs), seconds)


def tokens_per_s_from_start(runs: Sequence[Run]) -> float | None:
    """All tokens over all the time. The prompt was read before, on the device and in the cloud."""
    return _ratio(sum(run.tokens for run in runs), sum(run.total_s for run in runs))


def figures(runs: Sequence[Run], like: Sequence[Run] | None) -> dict[str, Any]:
    """What all texts of one decoding took, with one way to the cloud.

    Args:
        runs: one for each text.
        like: lockstep's, in the same order, if the texts should be equal.
    """
    tokens = sum(run.tokens for run in runs)
    accepted = sum(run.accepted for run in runs)
    same = None if like is None else _identical(runs, like)
    return {
        "tokens_per_s": _rounded(tokens_per_s(runs), 3),
        "tokens_per_s_from_start": _rounded(tokens_per_s_from_start(runs), 3),
        "round_trips_per_token": _rounded(_ratio(sum(r.round_trips for r in runs), tokens), 4),
        "bytes_per_token": _rounded(_ratio(sum(run.bytes for run in runs), tokens), 1),
        "acceptance": _rounded(_ratio(accepted, accepted + sum(r.rejected for r in runs)), 4),
        "texts": len(runs),
        "tokens": tokens,
        "requests": sum(run.requests for run in runs),
        "fallbacks": sum(run.fallbacks for run in runs),
        "identical_texts": same,
        "identical_to_lockstep": None if same is None else same == len(runs),
    }


def row(
    decoding: DecodingName,
    pair: str,
    rtt_ms: float,
    runs: dict[Way, Sequence[Run]],
    like: dict[Way, Sequence[Run]] | None = None,
) -> dict[str, Any]:
    """One row of `evaluate speed --json` (DESIGN section 7).

    What is not said to be replayed is about the real cloud on this machine.

    Args:
        decoding: how the texts were written.
        pair: by which models.
        rtt_ms: milliseconds that were added to each round trip.
        runs: the texts, for each way to the cloud.
        like: lockstep's, if the texts should be equal.
    """
    real = figures(runs["real"], None if like is None else like["real"])
    replayed = figures(runs["replayed"], None if like is None else like["replayed"])
    again = runs["replayed"]
    served_ms = 1000 * sum(run.served_cpu_s for run in again)
    cloud = [run.cloud_cpu_s for run in again if run.cloud_cpu_s is not None]
    replayed["identical_to_real"] = _identical(again, runs["real"]) == len(again)
    replayed["unknown_prefixes"] = sum(run.unknown for run in again)
    replayed["runs_made_again"] = sum(run.made_again for run in again)
    replayed["server_cpu_ms_per_request"] = _rounded(
        _ratio(served_ms, sum(run.served for run in again)), 3
    )
    replayed["real_cloud_cpu_s"] = _rounded(sum(cloud), 2) if cloud else None
    head = {"decoding": decoding, "pair": pair, "rtt_ms": rtt_ms}
    order = ("tokens_per_s", "round_trips_per_token", "bytes_per_token", "acceptance")
    rate = {"replayed_tokens_per_s": replayed["tokens_per_s"]}
    head |= {"tokens_per_s": real["tokens_per_s"]} | rate
    head |= {name: real[name] for name in order[1:]}
    rest = {name: value for name, value in real.items() if name not in order}
    return head | rest | {"unknown_prefixes": replayed["unknown_prefixes"], "replayed": replayed}


def _identical(runs: Sequence[Run], like: Sequence[Run]) -> int:
    return sum(run.ids == other.ids for run, other in zip(runs, like, strict=True))


def _ratio(part: float, whole: float) -> float | None:
    return part / whole if whole > 0 else None


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)

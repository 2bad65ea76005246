"""What the plots of a report show: points with their ranges, taken from the sources.

A plot that would need a number that nobody measured is not drawn; its gap says which command is
missing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from cogenesis.evaluation.report_alike import unlike
from cogenesis.evaluation.report_inputs import Figure, Source, figures, shown
from cogenesis.evaluation.report_tables import attack_figure

_QUALITY: Final = (
    ("judge", ("overall_with", "overall"), "judge's score, overall with the profile", True),
    ("text", ("chrf", "rouge_l", "rougeL"), "{}", True),
    ("bits", ("bits_per_byte",), "bits per byte (less is better)", False),
)
"""Kind, measures of which the first found counts, label, whether more is better."""

_PAIRED: Final = (
    " Ranges are those of each system alone; texts differ more than systems do, and the table's "
    "ratios, where it has them, are of pairs."
)

_DEFAULT_FUSION: Final = "fusion:mixture"
"""The rule of `write --mode fusion`, `evaluate leaks` and `evaluate speed`."""

_EXACT: Final = ("lockstep", "draft-and-verify")
"""Ways of decoding that sample from the same distribution, so their quality is the same."""


@dataclass(frozen=True, slots=True)
class Point:
    """One system in a plane."""

    name: str
    x: Figure
    y: Figure


@dataclass(frozen=True, slots=True)
class Plane:
    """Points with the labels of their axes, and what is to be said below."""

    x_label: str
    y_label: str
    points: tuple[Point, ...]
    caption: str
    sources: tuple[str, ...]
    up_is_better: bool


@dataclass(frozen=True, slots=True)
class Gap:
    """Why something is not shown."""

    what: str
    why: str


def against_leakage(sources: Sequence[Source]) -> Plane | Gap:
    """Quality against the share of people whom the strongest attacker recognises."""
    what = "quality against leakage"
    leaks = next((each for each in sources if each.kind == "leaks"), None)
    if leaks is None:
        return Gap(what, "no attack was measured: cogenesis evaluate leaks --data FILE --json")
    reached: dict[str, Figure] = {}
    for mode, system in (("sketch", "sketch"), ("fusion", _DEFAULT_FUSION)):
        found = _strongest(leaks.told, mode)
        if found is not None:
            reached[system] = found
    chance = leaks.told.get("chance_top1")
    if isinstance(chance, int | float):
        reached["device"] = Figure(float(chance))
    best = _quality(sources, reached)
    if best is None:
        return Gap(what, _NO_QUALITY)
    label, quality, source, up = best
    points = tuple(Point(name, reached[name], quality[name]) for name in reached if name in quality)
    caption = (
        f"Quality against leakage. Across: right person at the first guess among "
        f"{shown(leaks.told.get('candidates', '?'))} people, by the attacker that did best. The "
        "device sends nothing, so it stands where a guess does."
    )
    if leaks.told.get("text") == "reference":
        caption += " The attacked texts are the references behind the shield, not written ones."
    caption += unlike(leaks, source) + _PAIRED
    return Plane(
        "share of people recognised", label, points, caption, (leaks.label, source.label), up
    )


def against_round_trips(sources: Sequence[Source]) -> Plane | Gap:
    """Quality against round trips a token."""
    what = "quality against round trips"
    for source in sources:
        plane = _of_texts(source) if source.kind == "text" else None
        if plane is not None:
            return plane
    speed = next((each for each in sources if each.kind == "speed"), None)
    if speed is None:
        return Gap(what, "no speed was measured: cogenesis evaluate speed --json")
    trips: dict[str, Figure] = {}
    for row in speed.told["rows"]:
        if row.get("pair") == "demo" and row.get("rtt_ms") == _least(speed.told["rows"]):
            found = figures(row).get("round_trips_per_token")
            if found is not None:
                trips[str(row.get("decoding"))] = found
    names = {"device-only": "device", **dict.fromkeys(_EXACT, _DEFAULT_FUSION)}
    best = _quality(sources, names.values())
    if best is None or not trips:
        return Gap(what, _NO_QUALITY)
    label, quality, source, up = best
    points = tuple(
        Point(f"{system}, {decoding}" if decoding in _EXACT else system, trips[decoding], found)
        for decoding, system in names.items()
        if decoding in trips and (found := quality.get(system)) is not None
    )
    caption = (
        "Quality against round trips a token, pair demo. Lockstep and draft-and-verify sample "
        "from the same distribution, so one measured quality stands for both. The paper's "
        "schedule is another distribution, whose quality was not measured: it is not shown."
        + _PAIRED
    )
    return Plane("round trips a token", label, points, caption, (speed.label, source.label), up)


def _of_texts(source: Source) -> Plane | None:
    """From a file of `evaluate text`, which counts the round trips of every text."""
    for measure in _QUALITY[1][1]:
        points = []
        for row in source.told["systems"]:
            trips, texts = row.get("round_trips"), row.get("texts")
            quality = figures(row).get(measure)
            written = isinstance(trips, int) and isinstance(texts, int) and texts > 0
            if written and quality is not None:
                points.append(Point(shown(row.get("name", "?")), Figure(trips / texts), quality))
        if len(points) > 1:
            caption = (
                "Quality against round trips to the cloud, of the same texts. Across: round trips "
                f"a text, on average, with the length that was allowed.{_PAIRED}"
            )
            told = tuple(points)
            return Plane("round trips a text", measure, told, caption, (source.label,), True)
    return None


@dataclass(frozen=True, slots=True)
class Lines:
    """Tokens a second by round-trip time, for each pair and decoding: (ms, tokens/s, replayed)."""

    pairs: dict[str, dict[str, tuple[tuple[float, float, float | None], ...]]]
    caption: str
    sources: tuple[str, ...]


def speed_lines(sources: Sequence[Source]) -> Lines | Gap:
    """Speed against round-trip time."""
    what = "speed against round-trip time"
    speed = next((each for each in sources if each.kind == "speed"), None)
    if speed is None:
        return Gap(what, "no speed was measured: cogenesis evaluate speed --json")
    pairs: dict[str, dict[str, list[tuple[float, float, float | None]]]] = {}
    for row in speed.told["rows"]:
        found = figures(row)
        if "rtt_ms" in found and "tokens_per_s" in found:
            replayed = found.get("replayed_tokens_per_s")
            lines = pairs.setdefault(shown(row.get("pair", "?")), {})
            lines.setdefault(shown(row.get("decoding", "?")), []).append(
                (
                    found["rtt_ms"].value,
                    found["tokens_per_s"].value,
                    None if replayed is None else replayed.value,
                )
            )
    if not pairs:
        return Gap(what, "the file of evaluate speed has no timed row")
    counted = {row.get("texts") for row in speed.told["rows"]}
    texts = ", ".join(sorted(shown(each) for each in counted if isinstance(each, int)))
    caption = (
        f"Speed against round-trip time. Texts for each point: {texts or 'unknown'}; no interval "
        "is measured. Full lines: the cloud model on the same machine; dashed: its earlier "
        "answers, replayed."
    )
    ordered = {
        pair: {name: tuple(sorted(of)) for name, of in lines.items()}
        for pair, lines in pairs.items()
    }
    return Lines(ordered, caption, (speed.label,))


@dataclass(frozen=True, slots=True)
class Weights:
    """The device model's weight at each token of a text."""

    tokens: tuple[tuple[str, float], ...]
    caption: str
    sources: tuple[str, ...]


_MOST_TOKENS: Final = 160


def weights_along(sources: Sequence[Source]) -> list[Weights] | Gap:
    """Weight along a text, as in the paper's Figure 6."""
    found = []
    for source in (each for each in sources if each.kind == "weights"):
        tokens = tuple(
            (str(each.get("text", "")), float(each["weight"]))
            for each in source.told["tokens"]
            if isinstance(each, Mapping)
            and isinstance(each.get("weight"), int | float)
            and 0.0 <= each["weight"] <= 1.0
        )
        cut = f", the first {_MOST_TOKENS} of {len(tokens)}" if len(tokens) > _MOST_TOKENS else ""
        caption = (
            f"Weight of the device model at each token{cut} ({source.name}): 1 is the device "
            "alone, 0 the cloud alone. The paper's Figure 6 shows the same for its models."
        )
        found.append(Weights(tokens[:_MOST_TOKENS], caption, (source.label,)))
    if not found:
        return Gap(
            "weight along a text",
            "no text was given: cogenesis write … --mode fusion --json (of a made-up person)",
        )
    return found


_NO_QUALITY: Final = (
    "no file tells the quality of two of these systems: cogenesis evaluate bits, text or judge"
)


def _quality(
    sources: Sequence[Source], wanted: Any
) -> tuple[str, dict[str, Figure], Source, bool] | None:
    """The best measure that tells two of the wanted systems apart: judge, then text, then bits."""
    names = set(wanted)
    for kind, measures, label, up in _QUALITY:
        for source in sources:
            if source.kind != kind:
                continue
            rows = {shown(row.get("name")): figures(row) for row in source.told["systems"]}
            for measure in measures:
                found = {n: of[measure] for n, of in rows.items() if measure in of and n in names}
                if len(found) > 1:
                    return label.format(measure), found, source, up
    return None


def _strongest(told: Mapping[str, Any], mode: str) -> Figure | None:
    """What the best attacker reached on what was sent, at the product's own threshold."""
    from cogenesis.privacy.lexicon import RARE_BELOW

    found = [
        figure
        for attack in told["attacks"]
        if attack.get("mode") == mode
        and attack.get("setting") == "sent"
        and attack.get("zipf", RARE_BELOW) == RARE_BELOW
        and (figure := attack_figure(attack, "top1")) is not None
    ]
    return max(found, key=lambda figure: figure.value, default=None)


def _least(rows: Sequence[Mapping[str, Any]]) -> float:
    """The shortest round-trip time: what is asked for in advance depends on it a little."""
    found = (figures(row).get("rtt_ms") for row in rows)
    return min((each.value for each in found if each is not None), default=0.0)

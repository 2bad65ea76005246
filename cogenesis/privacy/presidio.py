"""Microsoft Presidio with a spaCy model as a recogniser (extra `recogniser`).

    guard = Guard(lexicon, recogniser=PresidioRecogniser.load())

spaCy models are on no package index: the user installs one, `load` finds it or says how.
Presidio by itself would open connections, so three habits of it are turned off: a model that
is not installed is refused before Presidio would download it; e-mail addresses and URLs are
left to the guard's own rules, because Presidio's fetch a list from the web; and no decision is
traced or logged. Its organisations, which it leaves out by default, are asked for.

Not covered: what the model does not know; times without a digit ("every week"), which are
topics; entities under MIN_SCORE, which are mostly any number.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, Final, Protocol

from cogenesis.errors import InputError, MissingExtraError
from cogenesis.privacy.recogniser import RecognisedSpan
from cogenesis.privacy.released import Role

LANGUAGE: Final = "en"

MIN_SCORE: Final = 0.3
"""Presidio gives a number without its field's word 0.05 to 0.3, a name of the model 0.85."""

_ROLES: Final[dict[str, Role]] = {
    "PERSON": "person",
    "ORGANIZATION": "organisation",
    "LOCATION": "place",
    "NRP": "politics",
    "DATE_TIME": "date",
    "AGE": "number",
    "EMAIL_ADDRESS": "contact",
    "PHONE_NUMBER": "contact",
    "URL": "contact",
    "IP_ADDRESS": "contact",
    "MAC_ADDRESS": "contact",
    "MEDICAL_LICENSE": "health",
    "CREDIT_CARD": "number",
    "IBAN_CODE": "number",
    "CRYPTO": "number",
    "UUID": "number",
    "ID": "number",
}
"""Nationality, religion and politics are one entity there, so one role stands for all three."""

_NUMBERS: Final = ("US_", "UK_", "ES_", "IT_", "IN_", "SG_", "AU_", "DE_", "PL_")
_BY_OWN_RULES: Final = ("EmailRecognizer", "UrlRecognizer")
_IGNORED_LABELS: Final = (
    "CARDINAL EVENT LANGUAGE LAW MONEY ORDINAL PERCENT PRODUCT QUANTITY WORK_OF_ART"
)
_LABELS: Final = {
    "PER": "PERSON",
    "PERSON": "PERSON",
    "NORP": "NRP",
    "FAC": "LOCATION",
    "LOC": "LOCATION",
    "GPE": "LOCATION",
    "LOCATION": "LOCATION",
    "ORG": "ORGANIZATION",
    "ORGANIZATION": "ORGANIZATION",
    "DATE": "DATE_TIME",
    "TIME": "DATE_TIME",
}


class _Analyzer(Protocol):
    """The part of Presidio's `AnalyzerEngine` that is used."""

    def analyze(self, text: str, language: str, *, score_threshold: float) -> list[Any]: ...


class PresidioRecogniser:
    """Presidio's findings as the guard's roles. An entity that no table knows is a name."""

    __slots__ = ("_analyzer",)

    def __init__(self, analyzer: _Analyzer) -> None:
        self._analyzer = analyzer

    @classmethod
    def load(cls, model: str | None = None) -> PresidioRecogniser:
        """Load Presidio with a spaCy model: a package's name or a folder, else any installed.

        Raises:
            MissingExtraError: `presidio-analyzer` or `spacy` is not installed.
            InputError: there is no such model, or none at all.
        """
        try:
            spacy = import_module("spacy")
            presidio = import_module("presidio_analyzer")
            engines = import_module("presidio_analyzer.nlp_engine")
        except ImportError as error:
            raise MissingExtraError("presidio-analyzer", "recogniser") from error
        engine = engines.NlpEngineProvider(
            nlp_configuration={
                "nlp_engine_name": "spacy",
                "models": [{"lang_code": LANGUAGE, "model_name": _installed(spacy, model)}],
                "ner_model_configuration": {
                    "model_to_presidio_entity_mapping": _LABELS,
                    "labels_to_ignore": _IGNORED_LABELS.split(),
                },
            }
        ).create_engine()
        registry = presidio.RecognizerRegistry(supported_languages=[LANGUAGE])
        registry.load_predefined_recognizers(languages=[LANGUAGE], nlp_engine=engine)
        for name in _BY_OWN_RULES:
            registry.remove_recognizer(name)
        return cls(
            presidio.AnalyzerEngine(
                nlp_engine=engine,
                registry=registry,
                supported_languages=[LANGUAGE],
                log_decision_process=False,
            )
        )

    def recognise(self, text: str) -> Iterator[RecognisedSpan]:
        """Private spans of the text, as Presidio orders them."""
        for result in self._analyzer.analyze(text, LANGUAGE, score_threshold=MIN_SCORE):
            role = _role(result.entity_type)
            if role == "date" and not any(c.isdigit() for c in text[result.start : result.end]):
                continue
            yield RecognisedSpan(result.start, result.end, role)


def _role(entity: str) -> Role:
    if entity in _ROLES:
        return _ROLES[entity]
    return "number" if entity.startswith(_NUMBERS) else "name"


def _installed(spacy: Any, model: str | None) -> str:
    """The model to load; Presidio would download one that is missing."""
    models = sorted(spacy.util.get_installed_models())
    if model is not None:
        if model in models or (Path(model).is_dir() and (Path(model) / "meta.json").is_file()):
            return model
        raise InputError(
            f"there is no spaCy model “{model}”: give the name of an installed one or its "
            "folder, or install it with: python -m spacy download en_core_web_sm"
        )
    english = [name for name in models if name.startswith("en_")]
    if not english:
        raise InputError(
            "no English spaCy model is installed and none is on the package index. Install one "
            "with: python -m spacy download en_core_web_sm"
        )
    return str(english[-1])

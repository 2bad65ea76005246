"""The writing task for EleutherAI's lm-evaluation-harness, so that other models can be compared.

    pip install lm-eval
    lm_eval --include_path benchmarks/lm_eval --tasks cogenesis_bits,cogenesis_text \\
        --metadata '{"data": "validation.json"}' --apply_chat_template \\
        --model hf --model_args pretrained=HuggingFaceTB/SmolLM2-135M-Instruct

`data` is a file in the published form. Also in `--metadata`: `"context": false` for the prompt
without the context, `"window"` (tokens, 4096) and `"limit"` (samples).

`cogenesis_bits` gives bits per byte of the authors' texts, all bits over all bytes as in
`cogenesis evaluate bits`; `cogenesis_text` lets the model write and gives ROUGE-L and chrF, as
`cogenesis evaluate text` does. The prompts are those of `cogenesis write`, from the same code.

Not the same as our commands: the harness does not tell us its model's tokenizer, so the context
is cut by three bytes a token, which is less text than a real count allows; texts are not cut to a
number of tokens; the harness scores the end of a text as its model does by itself. Everything is
run by the harness on a model that sees the whole prompt: use published data, or a local model.
"""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any, Final

from cogenesis.context.private_context import PrivateContext
from cogenesis.context.prompt import Window, writing_prompt
from cogenesis.context.reader import Sample, read_samples

_BYTES_A_TOKEN: Final = 3
_TEXT_TOKENS: Final = 400


def documents(
    data: str = "",
    context: bool = True,
    window: int = 4096,
    limit: int | None = None,
    **_: object,
) -> dict[str, Any]:
    """The samples of a file as documents of the harness. Called by it, with `--metadata`."""
    if not data:
        raise ValueError('name the data: --metadata \'{"data": "validation.json"}\'')
    datasets = import_module("datasets")  # the harness brings it along

    samples = read_samples(Path(data))[:limit]
    return {
        "test": datasets.Dataset.from_list([document(each, context, window) for each in samples])
    }


def bits(doc: dict[str, str], results: list[tuple[float, bool]]) -> dict[str, tuple[float, int]]:
    """Log-likelihood of the author's text and its bytes; the harness sums both and divides."""
    return {"bits_per_byte": (results[0][0], len(doc["reference"].encode()))}


def nearness(doc: dict[str, str], results: list[str]) -> dict[str, float]:
    """ROUGE-L and chrF of what was written, in percent."""
    from rouge_score.rouge_scorer import RougeScorer
    from sacrebleu.metrics.chrf import CHRF

    scores = RougeScorer(["rougeL"], use_stemmer=True).score(doc["reference"], results[0])
    return {
        "rouge_l": 100 * scores["rougeL"].fmeasure,
        "chrf": CHRF().sentence_score(results[0], [doc["reference"]]).score,
    }


def document(sample: Sample, with_context: bool, window: int) -> dict[str, str]:
    """The prompt of `write` as one text, and the author's own text."""
    prompt = writing_prompt(
        sample.context if with_context else PrivateContext(),
        sample.instruction,
        count=lambda text: -(-len(text.encode()) // _BYTES_A_TOKEN),
        window=Window(window, _TEXT_TOKENS),
    ).prompt
    parts = [part for message in prompt.messages for part in message.parts]
    text = "".join(part if isinstance(part, str) else part.text for part in parts)
    return {"prompt": text, "reference": sample.reference.strip()}

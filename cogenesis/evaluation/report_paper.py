"""Table 1 of the paper, as the paper prints it (arXiv 2403.03129).

Scores from 1 to 10 by gpt-4-1106-preview: overall with the profile, personalisation, overall
without the profile. Up to 50 samples a cell; the paper gives no intervals. Models, judge and
samples are others than ours, so these numbers stand apart and no difference is formed.
"""

from __future__ import annotations

from typing import Final

SCORES: Final = ("Ovl. (w)", "Per.", "Ovl. (w/o)")
TASKS: Final = ("context-aware", "e-mail", "paper abstracts")

TABLE_1: Final[tuple[tuple[str, str], ...]] = (
    ("GPT-4-turbo, with context", "8.85/8.90/8.54 8.31/7.71/8.05 8.64/8.47/8.68"),
    ("Qwen1.5-72B, with context", "8.70/8.67/8.26 8.20/7.69/7.80 8.52/8.16/8.60"),
    ("GPT-4-turbo, no context", "6.10/6.46/8.75 5.10/3.79/8.58 8.42/7.94/8.73"),
    ("Qwen1.5-72B, no context", "5.86/5.98/8.52 5.83/4.40/8.54 7.92/7.16/8.28"),
    ("StableLM-1.6B, zero-shot", "6.88/6.82/6.68 6.03/5.49/6.51 7.32/6.94/8.14"),
    ("StableLM-1.6B, tuned", "8.30/8.56/7.73 7.58/6.70/7.20 7.96/7.64/8.18"),
    ("StableLM-1.6B, tuned, GPT-4 sketch", "8.48/8.56/7.98 7.68/6.62/7.48 8.28/7.48/8.38"),
    ("TinyLlama, tuned", "7.42/7.66/6.78 6.12/5.92/6.20 7.66/7.32/8.18"),
    ("TinyLlama, tuned, sketch", "7.66/7.14/6.82 6.58/6.02/6.60 7.72/7.36/8.10"),
    ("TinyLlama, tuned, Llama-2-70B logits", "7.76/7.74/7.06 6.06/6.16/6.94 8.14/7.34/8.04"),
    ("Qwen-1.8B, tuned", "7.44/7.76/7.02 7.00/6.71/7.06 7.84/7.36/8.18"),
    ("Qwen-1.8B, tuned, sketch", "7.80/7.82/7.64 7.18/6.44/7.28 8.02/7.70/8.34"),
    ("Qwen-1.8B, tuned, Qwen-72B logits", "8.12/8.20/7.86 7.48/6.44/7.46 7.92/7.16/8.30"),
    ("Qwen1.5-1.8B, tuned", "8.08/8.12/7.40 6.34/5.56/6.54 7.68/7.30/8.18"),
    ("Qwen1.5-1.8B, tuned, sketch", "8.18/7.98/7.62 6.54/5.84/6.74 8.10/7.24/8.32"),
    ("Qwen1.5-1.8B, tuned, Qwen1.5-72B logits", "8.28/8.22/7.80 6.66/5.70/7.12 8.14/7.28/8.40"),
)
"""System -> for each of TASKS, the SCORES."""


def rows() -> list[list[str]]:
    """One row a system: its name, then three scores for each task."""
    return [
        [name, *(score for task in told.split() for score in task.split("/"))]
        for name, told in TABLE_1
    ]

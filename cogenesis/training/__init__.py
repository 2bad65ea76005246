"""Training: plain loops over `torch`, `peft` and `accelerate`. Needs `cogenesis[train]`.

Nothing here is loaded by `import cogenesis`; torch is imported inside of functions.
"""

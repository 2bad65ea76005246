"""A base model of 50,000 random weights that reads bytes, and people who write: in seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from cogenesis.training.sketches_file import SketchLine

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")


def make_base(folder: Path, *, seed: int = 0, width: int = 32, spread: float = 0.02) -> Path:
    """A Llama with a tokenizer of single bytes, as a folder of `transformers`.

    `spread` is the standard deviation of its weights: the larger, the surer of itself it is.
    """
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {text: at for at, text in enumerate([*SPECIAL, *letters])}
    plain = Tokenizer(models.BPE(vocabulary, []))
    plain.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    plain.decoder = decoders.ByteLevel()
    plain.add_special_tokens(list(SPECIAL))
    make: Any = PreTrainedTokenizerFast
    tokenizer = make(tokenizer_object=plain, eos_token=SPECIAL[0], chat_template=TEMPLATE)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(vocabulary), hidden_size=width, intermediate_size=2 * width,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        max_position_embeddings=2048, tie_word_embeddings=True, initializer_range=spread,
        bos_token_id=None, eos_token_id=0,
    )  # fmt: skip
    model: Any = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    (folder / "README.md").write_text("---\nlicense: apache-2.0\n---\nNobody's model.\n")
    return folder


def write_gguf(source: Path, place: Path) -> None:
    """The tiny model as llama.cpp's converter would write it: rows of Q and K reordered."""
    import gguf
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model: Any = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    tokenizer: Any = AutoTokenizer.from_pretrained(source)
    config = model.config
    writer = gguf.GGUFWriter(place, "llama")
    writer.add_name("tiny")
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_dimension_count(config.hidden_size // config.num_attention_heads)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    writer.add_file_type(gguf.LlamaFileType.ALL_F32)
    tokens = tokenizer.convert_ids_to_tokens(range(config.vocab_size))
    special = set(tokenizer.all_special_tokens) | {"<|im_start|>", "<|im_end|>"}
    kinds = [gguf.TokenType.CONTROL if t in special else gguf.TokenType.NORMAL for t in tokens]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    writer.add_token_merges(["q q"])  # llama.cpp wants one; no token comes of it
    writer.add_eos_token_id(0)
    writer.add_chat_template(tokenizer.chat_template)
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight":
            continue
        writer.add_tensor(*renamed(name, tensor.numpy(), config))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def renamed(name: str, values: Any, config: Any) -> tuple[str, Any]:
    names = {
        "model.embed_tokens.weight": "token_embd.weight",
        "model.norm.weight": "output_norm.weight",
    }
    if name in names:
        return names[name], values
    _, _, layer, *rest = name.split(".")
    inside = {
        "self_attn.q_proj": "attn_q",
        "self_attn.k_proj": "attn_k",
        "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output",
        "mlp.gate_proj": "ffn_gate",
        "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down",
        "input_layernorm": "attn_norm",
        "post_attention_layernorm": "ffn_norm",
    }[".".join(rest[:-1])]
    heads = {"attn_q": config.num_attention_heads, "attn_k": config.num_key_value_heads}.get(inside)
    if heads is not None:
        halves = values.reshape(heads, 2, values.shape[0] // heads // 2, *values.shape[1:])
        values = np.ascontiguousarray(halves.swapaxes(1, 2).reshape(values.shape))
    return f"blk.{layer}.{inside}.weight", values


def people(count: int) -> list[dict[str, Any]]:
    """Samples in the published form, two to a group."""
    return [
        {
            "tid": f"1_{number // 2}_{number % 2}",
            "conversations": [
                {"from": "user", "value": f"Write a note {number}: Say what the choir sings."},
                {"from": "assistant", "value": f"Dear all, we sing song {number} at nine. Anna"},
            ],
            "profile": [{"title": "Thanks: to all", "text": f"Thank you for cake {number}."}],
            "additional_profile": f"Name: Anna\nAge: {30 + number}\nOccupation: Singer",
        }
        for number in range(count)
    ]


def write_people(path: Path, count: int = 6) -> Path:
    """The same as a file."""
    path.write_text(json.dumps(people(count)), "utf-8")
    return path


def write_sketches(path: Path, count: int) -> Path:
    """Outlines of the first people."""
    lines = [
        SketchLine(each["tid"], at, "Write a note", ("Say when", "Say what"), "none", 0, 1, 0.1)
        for at, each in enumerate(people(count), start=1)
    ]
    path.write_text("".join(json.dumps(line.to_json()) + "\n" for line in lines), "utf-8")
    return path

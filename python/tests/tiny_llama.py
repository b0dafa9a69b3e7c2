"""A llama of 4 blocks with random weights, in two files, and with a tokenizer and a chat template of its own.

python -m tests.tiny_llama FOLDER
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

BLOCKS = 4
SHARDS = ("model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors")
CHAT_TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def make(folder: Path) -> None:
    """Writes the model, 6 MB, the same at each time: its greedy answers are nonsense, and the same everywhere."""
    specials = ["<unk>", "<s>", "</s>", "<system>", "<user>", "<assistant>"]
    # As byte-level tokenizers write ASCII: the printable characters, a space and a line's end.
    characters = [*map(chr, range(33, 127)), "\u0120", "\u010a"]
    vocabulary = {token: number for number, token in enumerate([*specials, *characters])}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=[], unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    tokenizer.decoder = decoders.ByteLevel()
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        **{"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"},
        additional_special_tokens=specials[3:],
        chat_template=CHAT_TEMPLATE,
    )
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(vocabulary),
        hidden_size=192,
        intermediate_size=384,
        num_hidden_layers=BLOCKS,
        num_attention_heads=6,
        num_key_value_heads=2,
        max_position_embeddings=512,
        # Large enough that no rounding changes which token is the likeliest.
        initializer_range=0.2,
        bos_token_id=vocabulary["<s>"],
        eos_token_id=vocabulary["</s>"],
        torch_dtype="float32",
    )
    LlamaForCausalLM(config).save_pretrained(folder, max_shard_size="3MB", safe_serialization=True)
    fast.save_pretrained(folder)
    assert sorted(path.name for path in folder.glob("*.safetensors")) == [*SHARDS]


if __name__ == "__main__":
    make(Path(sys.argv[1]))

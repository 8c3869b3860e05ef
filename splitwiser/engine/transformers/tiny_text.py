"""Owns the tiny models' tokenizer: byte-level BPE, trained on the spot: it encodes any text and needs no network."""

import json
import random
from collections.abc import Iterator
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

END_OF_TEXT = "<|endoftext|>"
END_OF_TEXT_ID = 0

_WORDS = """
the of and to a in is it you that he was for on are with as his they be at one have this from or had by hot but some
what there we can out other were all your when up use word how said an each she which do their time if will way about
many then them would write like so these her long make thing see him two has look more day could go come did my sound
no most number who over know water than call first people may down side been now find any new work part take get place
made live where after back little only round man year came show every good me give our under name very through just
form much great think say help low line before turn cause same mean differ move right boy old too does tell sentence
set three want air well also play small end put home read hand port large spell add even land here must big high such
follow act why ask men change went light kind off need house picture try us again animal point mother world near build
self earth father prefill decode token prompt page pool request router model layer cache handle grant claim lease
epoch store step stream batch kernel memory process answer question
""".split()
_STOPS = (".", ".", ".", "?", "!", ";", ":\n", ".\n\n")


def train_tokenizer(vocab_size: int) -> Tokenizer:
    """Exactly vocab_size entries, at least 257: END_OF_TEXT is 0, then the 256 bytes, then merges."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.post_processor = processors.ByteLevel(trim_offsets=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[END_OF_TEXT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_sentences(), trainer)
    assert tokenizer.get_vocab_size() == vocab_size, (tokenizer.get_vocab_size(), vocab_size)
    return tokenizer


def save_tokenizer(folder: Path, vocab_size: int, max_tokens: int) -> None:
    """Write tokenizer.json and tokenizer_config.json into folder."""
    train_tokenizer(vocab_size).save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "eos_token": END_OF_TEXT,
        "bos_token": END_OF_TEXT,
        "model_max_length": max_tokens,
        "clean_up_tokenization_spaces": False,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def _sentences(count: int = 2000) -> Iterator[str]:
    draw = random.Random(0)
    for _ in range(count):
        words = draw.choices(_WORDS, k=draw.randrange(3, 12))
        yield " ".join(words).capitalize() + draw.choices(_STOPS)[0]

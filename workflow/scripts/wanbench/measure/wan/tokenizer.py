"""A tokenizer for random weights: real code, made vocabulary, nothing downloaded."""

import string

from transformers import T5TokenizerFast

_TOKENS = 512


def letter_tokenizer() -> T5TokenizerFast:
    """A Unigram tokenizer of single characters.

    Wan pads every prompt to 512 tokens, so the cost of text encoding does not depend on the vocabulary.
    """
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("\u2581", -2.0)]
    characters = string.ascii_letters + string.digits + string.punctuation
    return T5TokenizerFast(
        vocab=special + [(character, -6.0) for character in characters], extra_ids=0, model_max_length=_TOKENS
    )

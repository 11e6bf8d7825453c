"""Constants of the word and shingle hashes, shared by the kernels and by their plain-Python definition.

They are part of every stored signature: never change them without a new ``SHINGLE_DEFINITION``.
"""

SHINGLE_DEFINITION = "words-1"  # names words + hashes in index files and table metadata
WORD_SEED = 0x9E3779B97F4A7C15
WORD_MULTIPLIER = 0xD6E8FEB86659FD93  # odd: each step is a bijection of the eight bytes it takes in
WORD_FINISH = 0xA0761D6478BD642F
SHINGLE_MULTIPLIER = 0xE7037ED1A0B428DD  # 5 mod 8, so that M^k - 1 keeps few factors of two
MIX_1 = 0xFF51AFD7ED558CCD  # MurmurHash3's 64-bit finaliser (public domain)
MIX_2 = 0xC4CEB9FE1A85EC53

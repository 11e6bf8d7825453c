"""Token shards: Arrow files of one source, uncompressed, so that they are read as they lie.

1. ``token_shard.py``  writes and maps a shard; what a shard says of itself
2. ``arrow_file.py``   where the buffers of such a file lie, without pyarrow
3. ``shard_facts.py``  what the manifests say of the shards, so that few need be opened
4. ``exchange.py``     to and from Megatron's and nanoGPT's files
"""

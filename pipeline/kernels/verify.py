"""Selection among candidate duplicates: exact similarity, the greedy rule, components of verified pairs.

Nodes are distinct texts, numbered in priority order: node 0 is visited first.  A node is kept unless kept candidates
(nodes that share a bucket with it) reach the threshold; so only comparisons with kept nodes decide.  The pairs between
removed nodes are looked at afterwards, for the components, and only where these are not joined already.

Buckets of more than 1,000 records: no pairs between removed nodes, and kept candidates come from a prefix filter.  Two
sets of similarity t or more share one of the ``|x| - ceil(t |x|) + 1`` first elements of each, in any common order of
the elements (Chaudhuri, Ganti, Kaushik: A primitive operator for similarity joins, 2006).  Rarest first, pages that
share a template and nothing else rarely meet.  Where they do, in a template that fills most of each, the place of the
first shared element tells: all that two sets can share lies behind it (Xiao, Wang, Lin, Yu: Efficient similarity joins
for near duplicate detection, 2008).  Kept nodes are listed by element, size and place, so a list that cannot hold a
similar one is passed over as a whole, and no pair above the threshold is lost.

Shape letters: n nodes, B bands, P values of a signature.
"""

import numba
import numpy as np

from pipeline.kernels.words import I64, I64_OUT, U64, U64_OUT

I32_2D = numba.types.Array(numba.int32, 2, "C", readonly=True)
U32_2D = numba.types.Array(numba.uint32, 2, "C", readonly=True)
BOOL = numba.types.Array(numba.boolean, 1, "C", readonly=True)
SETS = numba.types.Tuple((U64, I64, U32_2D))
PREFIXES = numba.types.Tuple((I64, I64, I64))
BUCKETS = numba.types.Tuple((I32_2D, I64, I64, BOOL))
RESULT = numba.types.Tuple((I64_OUT, I64_OUT, I64_OUT, I64_OUT, I64_OUT))
CHECK_EVERY = 64


@numba.njit(nogil=True)
def overlap(left, right, needed):  # type: ignore[no-untyped-def]
    """Common elements of two sorted sets; -1 as soon as ``needed`` is out of reach."""
    i = j = common = 0
    size_left, size_right = len(left), len(right)
    while i < size_left and j < size_right:
        if common + min(size_left - i, size_right - j) < needed:
            return -1
        stop = min(CHECK_EVERY, min(size_left - i, size_right - j))
        for _ in range(stop):  # no branch to mispredict: at most one step of each a turn
            a, b = left[i], right[j]
            common += a == b
            i += a <= b
            j += b <= a
    return common


@numba.njit(nogil=True)
def least_common(size_left, size_right, threshold):  # type: ignore[no-untyped-def]
    """Elements that two sets of these sizes must share to reach the threshold."""
    return np.int64(np.ceil(threshold / (1 + threshold) * (size_left + size_right) - 1e-6))


@numba.njit(nogil=True)
def compare(sets, left, right, threshold):  # type: ignore[no-untyped-def]
    """Intersection and union of two nodes; (-1, 1) where they do not reach the threshold.

    With signatures instead of sets: equal values, and values in all.
    """
    hashes, offsets, signatures_nP = sets
    if signatures_nP.shape[1] > 0:
        union = signatures_nP.shape[1]
        common = 0
        for p in range(union):
            common += signatures_nP[left, p] == signatures_nP[right, p]
        return (common, union) if common / union >= threshold else (-1, 1)
    size_left = offsets[left + 1] - offsets[left]
    size_right = offsets[right + 1] - offsets[right]
    if min(size_left, size_right) < threshold * max(size_left, size_right) - 1e-6:
        return -1, 1
    needed = least_common(size_left, size_right, threshold)
    common = overlap(
        hashes[offsets[left] : offsets[left + 1]], hashes[offsets[right] : offsets[right + 1]], needed
    )  # fmt: skip
    union = size_left + size_right - common
    return (common, union) if common >= 0 and common / union >= threshold else (-1, 1)


@numba.njit(nogil=True)
def root(parents, node):  # type: ignore[no-untyped-def]
    """The component of a node (union-find with path halving)."""
    while parents[node] != node:
        parents[node] = parents[parents[node]]
        node = parents[node]
    return node


@numba.njit(nogil=True)
def join(parents, left, right):  # type: ignore[no-untyped-def]
    """Joins two components under their smaller number."""
    left, right = root(parents, left), root(parents, right)
    parents[max(left, right)] = min(left, right)


@numba.njit(numba.int64(U64_OUT, I64, I64_OUT), cache=True, nogil=True)
def sort_sets(hashes, offsets, new_offsets):  # type: ignore[no-untyped-def]
    """Sorts each set in place, drops repeats, and closes the gaps; returns the values left."""
    filled = np.int64(0)
    new_offsets[0] = 0
    for number in range(len(offsets) - 1):
        part = hashes[offsets[number] : offsets[number + 1]]
        part.sort()
        start = filled
        for index in range(len(part)):
            value = part[index]
            if filled == start or hashes[filled - 1] != value:
                hashes[filled] = value
                filled += 1
        new_offsets[number + 1] = filled
    return filled


@numba.njit(nogil=True)
def first_common(bucket_of_nB, large, left, right, band):  # type: ignore[no-untyped-def]
    """True where no band before ``band`` has the two nodes in one small bucket: pairs are looked at once."""
    for earlier in range(band):
        bucket = bucket_of_nB[left, earlier]
        if bucket >= 0 and bucket == bucket_of_nB[right, earlier] and not large[bucket]:
            return False
    return True


@numba.njit(nogil=True)
def share_large(bucket_of_nB, large, left, right):  # type: ignore[no-untyped-def]
    """True where a large bucket holds both nodes: the prefix filter alone would also find pairs of other buckets."""
    for band in range(bucket_of_nB.shape[1]):
        bucket = bucket_of_nB[left, band]
        if bucket >= 0 and large[bucket] and bucket == bucket_of_nB[right, band]:
            return True
    return False


@numba.njit(nogil=True)
def join_removed(sets, buckets, kept_copies, forced, parents, threshold):  # type: ignore[no-untyped-def]
    """Joins what similar pairs in small buckets join, beyond the pairs that the selection has compared.

    ``forced`` counts nodes, here.  Returns the comparisons made.
    """
    bucket_of_nB, bucket_offsets, members, large = buckets
    comparisons = np.int64(0)
    for band in range(bucket_of_nB.shape[1]):
        for node in range(forced, bucket_of_nB.shape[0]):
            bucket = bucket_of_nB[node, band]
            if bucket < 0 or large[bucket]:
                continue
            for index in range(bucket_offsets[bucket], bucket_offsets[bucket + 1]):
                other = members[index]
                if other >= node:
                    break  # members ascend
                if other < forced or kept_copies[other] > 0:
                    continue  # a kept candidate of higher priority: compared by the selection
                if root(parents, node) == root(parents, other):
                    continue
                if not first_common(bucket_of_nB, large, node, other, band):
                    continue
                common, _ = compare(sets, node, other, threshold)
                comparisons += 1
                if common >= 0:
                    join(parents, node, other)
    return comparisons


@numba.njit(nogil=True)
def keep_in_lists(lists, prefixes, node, size):  # type: ignore[no-untyped-def]
    """Enters a kept node under each of its prefix elements, in the list of its size and the element's place."""
    element_heads, list_sizes, list_places, list_nexts, list_heads, nexts, owners = lists
    prefix_offsets, prefix_elements, _ = prefixes
    for index in range(prefix_offsets[node], prefix_offsets[node + 1]):
        element, place = prefix_elements[index] & 0xFFFFFFFF, prefix_elements[index] >> 32
        found = element_heads[element]
        while found >= 0 and (list_sizes[found] != size or list_places[found] != place):
            found = list_nexts[found]
        if found < 0:
            found = index  # a list is numbered by the entry that began it
            list_sizes[found], list_places[found], list_heads[found] = size, place, -1
            list_nexts[found] = element_heads[element]
            element_heads[element] = found
        owners[index] = node
        nexts[index] = list_heads[found]
        list_heads[found] = index


@numba.njit(nogil=True)
def find_in_lists(lists, prefixes, buckets, node, size, threshold, stamps, visit, candidates, found):  # type: ignore[no-untyped-def]
    """Adds the kept nodes that can be similar to ``candidates``; returns how many these are, and what was looked at."""
    element_heads, list_sizes, list_places, list_nexts, list_heads, nexts, owners = lists
    prefix_offsets, prefix_elements, _ = prefixes
    bucket_of_nB, _, _, large = buckets
    looked = np.int64(0)
    for index in range(prefix_offsets[node], prefix_offsets[node + 1]):
        place = prefix_elements[index] >> 32
        group = element_heads[prefix_elements[index] & 0xFFFFFFFF]
        while group >= 0:
            looked += 1
            left, right = size - place, list_sizes[group] - list_places[group]
            if min(left, right) >= least_common(size, list_sizes[group], threshold):
                entry = list_heads[group]
                while entry >= 0:
                    looked += 1
                    other = owners[entry]
                    if stamps[other] != visit:
                        stamps[other] = visit
                        if share_large(bucket_of_nB, large, node, other):
                            candidates[found] = other
                            found += 1
                    entry = nexts[entry]
            group = list_nexts[group]
    return found, looked


# one long function: the rule's state is a dozen arrays, which every part would be given again
@numba.njit(
    RESULT(SETS, BUCKETS, PREFIXES, I64, numba.int64, numba.int64, numba.float64), cache=True, nogil=True
)  # fmt: skip
def select(sets, buckets, prefixes, visits, forced, copies, threshold):  # type: ignore[no-untyped-def]
    """The greedy rule over nodes in priority order.

    Args:
        sets: Sorted shingle hashes, their offsets (n + 1), and signatures (n, P); P = 0 to compare the sets.
        buckets: Bucket of each node and band (n, B), -1 for none; offsets and members (nodes, ascending) of each
            bucket; whether it is large.
        prefixes: Of each node (offsets, n + 1), the prefix elements by which it is found in large buckets (the place
            in the set's order in the upper 32 bits, the element's number in the lower); and one value: how many such
            elements there are.  Nodes in no large bucket have none.
        visits: Nodes in the order of their records' priority; a node once per record, or once where ``copies`` is 1.
        forced: How many of the first visits are kept whatever they are like: documents of an index.
        copies: Similar records that may be kept; 1 is deduplication.
        threshold: Least similarity of a duplicate.

    Returns:
        For each visit the kept node that it duplicates (-1: kept; itself: an equal text was kept), intersection and
        union; the component of each node; and what it took: comparisons, and entries of lists looked at.
    """
    bucket_of_nB, bucket_offsets, members, large = buckets
    offsets, prefix_offsets = sets[1], prefixes[0]
    nodes, bands = bucket_of_nB.shape
    keepers = np.full(len(visits), -1, np.int64)
    intersections, unions = np.zeros(len(visits), np.int64), np.zeros(len(visits), np.int64)
    parents = np.arange(nodes)
    kept_copies = np.zeros(nodes, np.int64)
    kept_members, kept_in_bucket = np.empty(len(members), np.int64), np.zeros(len(large), np.int64)
    entries = len(prefixes[1])
    lists = (
        np.full(prefixes[2][0], -1, np.int64),  # the first list of each element
        np.empty(entries, np.int64),  # size and place of each list, the next of its element, its first entry
        np.empty(entries, np.int64),
        np.empty(entries, np.int64),
        np.empty(entries, np.int64),
        np.empty(entries, np.int64),  # the next of each entry, and its node
        np.empty(entries, np.int64),
    )
    stamps = np.full(nodes, -1, np.int64)
    candidates = np.empty(nodes, np.int64)
    work = np.zeros(2, np.int64)
    for visit in range(len(visits)):
        node = visits[visit]
        size = offsets[node + 1] - offsets[node]
        found = np.int64(0)
        if visit >= forced:
            for band in range(bands):
                bucket = bucket_of_nB[node, band]
                if bucket < 0 or large[bucket]:
                    continue
                start = bucket_offsets[bucket]
                for index in range(start, start + kept_in_bucket[bucket]):
                    other = kept_members[index]
                    if stamps[other] != visit:
                        stamps[other] = visit
                        candidates[found] = other
                        found += 1
            found, looked = find_in_lists(
                lists, prefixes, buckets, node, size, threshold, stamps, visit, candidates, found
            )  # fmt: skip
            work[1] += looked
        best, best_common, best_union = np.int64(-1), np.int64(0), np.int64(1)
        similar_copies = kept_copies[node]
        for index in range(found):
            other = candidates[index]
            if other == node:
                continue
            common, union = compare(sets, node, other, threshold)
            work[0] += 1
            if common < 0:
                continue
            similar_copies += kept_copies[other]
            join(parents, node, other)
            better = common / union - best_common / best_union
            if best < 0 or better > 0 or (better == 0 and other < best):
                best, best_common, best_union = other, np.int64(common), np.int64(union)
        if similar_copies < copies or visit < forced:
            kept_copies[node] += 1
            if kept_copies[node] > 1:
                continue
            for band in range(bands):
                bucket = bucket_of_nB[node, band]
                if bucket >= 0 and not large[bucket]:
                    kept_members[bucket_offsets[bucket] + kept_in_bucket[bucket]] = node
                    kept_in_bucket[bucket] += 1
            if prefix_offsets[node + 1] > prefix_offsets[node]:
                keep_in_lists(lists, prefixes, node, size)
        elif kept_copies[node] > 0:
            keepers[visit] = node
        else:
            keepers[visit], intersections[visit], unions[visit] = best, best_common, best_union
    forced_nodes = np.int64(0)
    for visit in range(forced):
        forced_nodes = max(forced_nodes, visits[visit] + 1)
    work[0] += join_removed(sets, buckets, kept_copies, forced_nodes, parents, threshold)
    for node in range(nodes):
        parents[node] = root(parents, node)
    return keepers, intersections, unions, parents, work


@numba.njit(numba.void(I64_OUT, I32_2D, I64_OUT), cache=True, nogil=True)
def join_buckets(parents, bucket_of_nB, first_members):  # type: ignore[no-untyped-def]
    """Joins all members of each bucket: nodes of different roots share no candidate, directly or indirectly.

    ``parents`` (n,) starts as ``arange``, ``first_members`` (buckets,) as -1; both are changed.
    """
    for node in range(bucket_of_nB.shape[0]):
        for band in range(bucket_of_nB.shape[1]):
            bucket = bucket_of_nB[node, band]
            if bucket < 0:
                continue
            if first_members[bucket] < 0:
                first_members[bucket] = node
            else:
                join(parents, first_members[bucket], node)
    for node in range(len(parents)):
        parents[node] = root(parents, node)


@numba.njit(numba.int64(U64, I64, BOOL, numba.float64, I64_OUT, I64_OUT, I64_OUT), cache=True, nogil=True)
def find_prefixes(hashes, offsets, wanted, threshold, counters, prefix_offsets, elements):  # type: ignore[no-untyped-def]
    """Prefix elements of the wanted nodes, rarest first; an element is a hash modulo the size of ``counters``.

    Hashes of one element count as one: they only add candidates.  Elements that no other node has are left out.

    Args:
        hashes: Sorted sets of all nodes.
        offsets: Shape (n + 1,).
        wanted: Shape (n,).
        threshold: Least similarity that must not be missed.
        counters: Zeros, a power of two of them; scratch.
        prefix_offsets: Out, shape (n + 1,).
        elements: Out, the place in the order above the lowest 32 bits; as many as the wanted nodes have hashes are
            always enough.

    Returns:
        Elements in all.
    """
    mask = np.uint64(len(counters) - 1)
    longest = 0
    for node in range(len(wanted)):
        if wanted[node]:
            longest = max(longest, offsets[node + 1] - offsets[node])
            for index in range(offsets[node], offsets[node + 1]):
                counters[np.int64(hashes[index] & mask)] += 1
    order = np.empty(longest, np.int64)
    filled = 0
    prefix_offsets[0] = 0
    for node in range(len(wanted)):
        size = offsets[node + 1] - offsets[node]
        if wanted[node] and size > 0:
            for index in range(size):
                element = np.int64(hashes[offsets[node] + index] & mask)
                order[index] = (counters[element] << 32) | element
            part = order[:size]
            part.sort()
            for index in range(size - np.int64(np.ceil(threshold * size - 1e-6)) + 1):
                if index < size and part[index] >> 32 > 1:
                    elements[filled] = (index << 32) | (part[index] & 0xFFFFFFFF)
                    filled += 1
        prefix_offsets[node + 1] = filled
    return filled


@numba.njit(numba.void(U64, I64, I64, U64_OUT, I64), cache=True, nogil=True)
def gather(source, starts, ends, target, positions):  # type: ignore[no-untyped-def]
    """Copies ``source[starts[i]:ends[i]]`` to ``target[positions[i]:]`` for every i."""
    for number in range(len(starts)):
        place = positions[number]
        for index in range(starts[number], ends[number]):
            target[place] = source[index]
            place += 1


@numba.njit(numba.void(U32_2D, numba.int64, numba.types.Array(numba.uint64, 2, "C")), cache=True, nogil=True)
def band_keys(signatures_NP, rows, keys_BN):  # type: ignore[no-untyped-def]
    """64-bit key of each band of each signature; different bands of rows share one with probability 2^-64.

    Args:
        signatures_NP: Shape (N, B * rows).
        rows: Values in a band.
        keys_BN: Out, shape (B, N).
    """
    for band in range(keys_BN.shape[0]):
        for text in range(keys_BN.shape[1]):
            key = np.uint64(0x9E3779B97F4A7C15)
            for p in range(band * rows, (band + 1) * rows):
                key = (key ^ np.uint64(signatures_NP[text, p])) * np.uint64(0xD6E8FEB86659FD93)
                key ^= key >> np.uint64(32)
            keys_BN[band, text] = key

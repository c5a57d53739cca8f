"""Keys sorted within segments by how much they matter, on the device, and their values with them."""

import triton
import triton.language as tl


@triton.jit(do_not_specialize=["tokens"])
def sort_segments(
    keys, values, importance, sorted_keys, sorted_values, positions, tokens,
    SEGMENT: tl.constexpr, PART: tl.constexpr, DIM: tl.constexpr,
):  # fmt: skip
    """PART rows of one segment of one head, to the places that they have in it once it is sorted.

    Tensors are heads x tokens x DIM, importance and positions heads x tokens: the place of a row is the number of rows
    of its segment that matter more, or as much and stand before it. Rows of the last segment stay where they are if it
    is shorter than the others. positions[head, place] is where the row of a place came from.
    """
    segment = tl.program_id(0)
    head = tl.program_id(1).to(tl.int64)
    first = segment * SEGMENT
    inside = tl.program_id(2) * PART + tl.arange(0, PART)
    token = first + inside
    exists = token < tokens
    if first + SEGMENT <= tokens:
        all_of_it = tl.arange(0, SEGMENT)
        mine = tl.load(importance + head * tokens + token)
        theirs = tl.load(importance + head * tokens + first + all_of_it)
        more = theirs[None, :] > mine[:, None]
        as_much = (theirs[None, :] == mine[:, None]) & (all_of_it[None, :] < inside[:, None])
        place = first + tl.sum((more | as_much).to(tl.int32), 1)
    else:
        place = token
    channel = tl.arange(0, DIM)[None, :]
    source = (head * tokens + token[:, None]) * DIM + channel
    target = (head * tokens + place[:, None]) * DIM + channel
    tl.store(positions + head * tokens + place, token, mask=exists)
    tl.store(sorted_keys + target, tl.load(keys + source, mask=exists[:, None]), mask=exists[:, None])
    tl.store(sorted_values + target, tl.load(values + source, mask=exists[:, None]), mask=exists[:, None])

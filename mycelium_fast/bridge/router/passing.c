/* Runs of frames to those who get them. Neighbouring runs whose types have the same subscribers become one block:
 *
 *     runs    [ 1200 x 40 ][ 1201 x 1 ][ 1200 x 8 ][ 1300 x 9 ]
 *     blocks  \_____________ to A and B _________/ \_ to B __/
 */

/* A block for one connection. `trace_size` bytes of the sender's trace go before the first frame, where they are
 * wanted. */
static void deliver(myc_connection *sender, myc_connection *c, const run *runs, size_t count, size_t size,
                    size_t frames, size_t trace_size) {
    int policy = c->router->options.policy;
    if (c->ended || c->mute || c->closing || c->deaf) return;
    if (c == sender && c->flags & MYC_NO_ECHO) return;
    if (!(c->flags & MYC_TRACES)) trace_size = 0;
    if (c->full || lacks_room(c, trace_size + size) || (policy == MYC_DROP && size > c->router->options.max_output)) {
        if (policy == MYC_DROP) {
            put_or_miss(c, runs, count); /* of a frame that is so lucky as to have room, not the trace */
            return;
        }
        if (policy == MYC_DISCONNECT) {
            end(c, MYC_END_SLOW, pending(c));
            return;
        }
        hold_for(sender, c);
    }
    if (c->mute) return;
    if (trace_size) put(c, sender->trace, trace_size, 0);
    put(c, runs[0].bytes, size, 1);
    add(&c->frames_out, frames);
    add(&c->bytes_out, size);
}

/* Few bytes for the most part, for which a call takes longer than the copy. */
static inline void copy(uint8_t *to, const uint8_t *from, size_t size) {
    if (size < 16 || size > 32) {
        memcpy(to, from, size);
        return;
    }
    memcpy(to, from, 16);
    memcpy(to + size - 16, from + size - 16, 16);
}

/* deliver() to a connection that got something of this read already and that nothing is in the way of, at a fraction
 * of the price: with many types a block is a frame or two. Returns 0 where it is another case. */
static inline int deliver_more(const myc_connection *sender, myc_connection *c, const uint8_t *bytes, size_t size,
                               size_t frames) {
    if (!c->dirty || c == sender || c->ended | c->mute | c->closing | c->deaf | c->full ||
        pending(c) + size > c->router->options.max_output)
        return 0;
    if (c->slice_size && c->slice + c->slice_size == bytes) {
        c->slice_size += size;
    } else {
        if (c->slice_size) {
            chunk *tail = c->tail;
            if (!tail || CHUNK_ROOM - tail->end < c->slice_size) return 0;
            copy(tail->bytes + tail->end, c->slice, c->slice_size);
            tail->end += (uint32_t)c->slice_size;
            c->waiting += c->slice_size;
        }
        c->slice = bytes;
        c->slice_size = size;
    }
    add(&c->frames_out, frames);
    add(&c->bytes_out, size);
    return 1;
}

/* Pass on the block: the runs since the last one. */
static void pass_on(myc_router *router, myc_connection *sender, size_t trace_size) {
    const run *runs = router->runs + router->block_start;
    size_t count = router->run_count - router->block_start;
    size_t size = router->block_size, frames = router->block_frames;
    if (!count) return;
    router->block_size = router->block_frames = 0;
    const members *some = &router->subscribers[runs[0].type_id];
    for (uint32_t i = 0; i < some->count; i++)
        if (trace_size || !deliver_more(sender, some->items[i], runs[0].bytes, size, frames))
            deliver(sender, some->items[i], runs, count, size, frames, trace_size);
    for (uint32_t i = 0; i < router->everyone.count; i++) {
        myc_connection *c = router->everyone.items[i];
        if (!c->selective) {
            deliver(sender, c, runs, count, size, frames, trace_size);
            continue;
        }
        for (size_t k = 0; k < count; k++)
            if (receives(c, runs[k].type_id))
                deliver(sender, c, runs + k, 1, runs[k].size, runs[k].count, k ? 0 : trace_size);
    }
    router->block_start = router->run_count;
}

/* A run to the block, or after it. */
static inline void extend(myc_router *router, myc_connection *sender, const run *each) {
    if (router->run_count > router->block_start) {
        const run *last = &router->runs[router->run_count - 1];
        if (router->run_count == MOST_RUNS || last->bytes + last->size != each->bytes ||
            !same(&router->subscribers[last->type_id], &router->subscribers[each->type_id]))
            pass_on(router, sender, 0);
    }
    if (router->run_count == MOST_RUNS) router->run_count = router->block_start = 0;
    router->runs[router->run_count++] = *each;
    router->block_size += each->size;
    router->block_frames += each->count;
}

/* A run that is let through. */
static void pass(myc_router *router, myc_connection *sender, run each) {
    size_t step = each.step;
    if (sender->trace_size) { /* the first frame goes by itself, after its trace */
        run first = {each.bytes, step, step, 1, each.type_id};
        size_t trace_size = sender->trace_size;
        pass_on(router, sender, 0);
        router->run_count = router->block_start = 0;
        router->runs[router->run_count++] = first;
        router->block_size = step;
        router->block_frames = 1;
        pass_on(router, sender, trace_size);
        sender->trace_size = 0;
        each.bytes += step;
        each.size -= step;
        if (!--each.count) return;
    }
    extend(router, sender, &each);
}

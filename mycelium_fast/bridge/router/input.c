/* Bytes from a connection, into runs of frames: what the control plane answers, what is dropped, what is passed on.
 *
 *     recv() -> read buffer -> look_through() -> handle() -> ask()          core frames: an event each
 *                                   |               |-----> note_dropped()
 *                                   |               \-----> pass()          passing.c
 *                                   \-> what is left -> partial
 *
 * A frame of more than `large_frame` bytes is received into `partial` itself. A connection that is held in between
 * keeps the rest in `partial`, and it is taken up when the connection is let go.
 */

static int grow_partial(myc_connection *c, size_t room) {
    if (room <= c->room) return 0;
    uint8_t *partial = realloc(c->partial, room);
    if (!partial) {
        end(c, MYC_END_MEMORY, 0);
        return -1;
    }
    c->partial = partial;
    c->room = room;
    return 0;
}

static void forget_partial(myc_connection *c) {
    c->have = 0;
    c->backlog = 0;
    if (c->room > CHUNK_SIZE) { /* a large one is not the rule */
        free(c->partial);
        c->partial = NULL;
        c->room = 0;
    }
}

/* Bytes of the whole frame whose beginning is in `partial`; 0 while that is not known. */
static size_t wanted(const myc_connection *c) {
    return c->have < MYC_HEADER_SIZE ? 0 : MYC_HEADER_SIZE + (size_t)myc_load_u32(c->partial + 2);
}

/* Core frames, for the control plane; returns how many, fewer than there are when it does not take them. */
static size_t ask(myc_router *router, myc_connection *c, const run *each) {
    size_t size = each->step - MYC_HEADER_SIZE, done = 0;
    uint64_t epoch = get(&router->epoch);
    if (c->event_epoch != epoch) c->events_waiting = 0;
    c->event_epoch = epoch;
    while (done < each->count && !c->held_for_events) {
        uint8_t *data = malloc(size ? size : 1);
        if (!data) {
            end(c, MYC_END_MEMORY, 0);
            break;
        }
        memcpy(data, each->bytes + done * each->step + MYC_HEADER_SIZE, size);
        myc_event event = {c, MYC_EVENT_FRAME, 0, each->type_id, 0, data, size};
        if (tell(router, event)) {
            end(c, MYC_END_MEMORY, 0);
            break;
        }
        done++;
        if (++c->events_waiting >= MOST_WAITING_EVENTS) {
            c->held_for_events = 1;
            hold(c);
            atomic_fetch_add(&router->event_holds, 1);
        }
    }
    return done;
}

static inline int is_request(uint16_t type_id) { return type_id == SUBSCRIBE_REQUEST || type_id == UNSUBSCRIBE_REQUEST; }

/* What comes after the first of these frames depends on what the control plane makes of it: whoever subscribes and
 * publishes gets its own. */
static void wait_for_word(myc_connection *c, run *each) {
    each->count = 1;
    if (!c->held_for_word) hold(c);
    c->held_for_word = 1;
}

/* But requests behind a request are asked in the same round, and so they are answered and take effect at once: whoever
 * wants these types instead of those misses none in between. */
static inline int is_held(const myc_connection *c, uint16_t type_id) {
    return c->holds && !(c->holds == 1 && c->held_for_word && c->flags & MYC_NEGOTIATED && is_request(type_id));
}

/* Core frames of one type; returns how many are done with. */
static size_t handle_core(myc_router *router, myc_connection *c, run each, int first) {
    size_t length = each.step - MYC_HEADER_SIZE;
    if (!(c->flags & MYC_NEGOTIATED)) {
        if (first && each.type_id == HELLO) {
            remove_from_lists(router, c);
            wait_for_word(c, &each);
            return ask(router, c, &each);
        }
        note_dropped(c, MYC_DROPPED_CORE, each.type_id, length, each.count);
        return each.count;
    }
    uint32_t expected = router->core ? router->core[each.type_id] : (uint32_t)length + 1;
    if (!expected) {
        note_dropped(c, MYC_DROPPED_CORE, each.type_id, length, each.count);
        return each.count;
    }
    if (expected - 1 == length && each.type_id == TRACE) {
        if (each.step <= MOST_TRACE) {
            memcpy(c->trace, each.bytes + (each.count - 1) * each.step, each.step);
            c->trace_size = each.step;
        }
        return each.count;
    }
    pass_on(router, c, 0); /* what it published before it asked comes first */
    if (expected - 1 != length) {
        each.count = 1;
        c->deaf = 1;
        touch(c);
    } else if (is_request(each.type_id)) {
        wait_for_word(c, &each);
    }
    return ask(router, c, &each);
}

/* A type of which it has published a frame. */
static inline void note_published(myc_connection *c, uint16_t type_id) {
    counter *words = atomic_load_explicit(&c->published, memory_order_relaxed);
    if (!words) {
        if (!(words = calloc(MYC_TYPE_WORDS, sizeof *words))) return; /* the next one may be luckier */
        atomic_store_explicit(&c->published, words, memory_order_release);
    }
    uint64_t had = get(&words[type_id / 64]), bit = UINT64_C(1) << (type_id % 64);
    if (!(had & bit)) set(&words[type_id / 64], had | bit);
}

/* Returns how many of the frames are done with: all, or, if the connection is held now, fewer. */
static size_t handle(myc_router *router, myc_connection *c, run each) {
    uint16_t type_id = each.type_id;
    size_t length = each.step - MYC_HEADER_SIZE;
    uint32_t known = router->sizes ? router->sizes[type_id] : 0;
    int first = !c->greeted;
    c->greeted = 1;
    if (type_id < router->options.first_application_id && !known) return handle_core(router, c, each, first);
    add(&c->frames_in, each.count);
    add(&c->bytes_in, each.size);
    add(&router->type_frames[type_id], each.count);
    add(&router->type_bytes[type_id], each.size);
    int reason = -1;
    if (known ? known - 1 != length : router->sizes && !router->options.forward_unknown)
        reason = known ? MYC_DROPPED_LENGTH : MYC_DROPPED_UNKNOWN;
    else if (c->knows && !has_bit(c->knows, type_id))
        reason = MYC_DROPPED_UNKNOWN;
    else if (c->may_publish && !has_bit(c->may_publish, type_id))
        reason = MYC_DROPPED_DENIED;
    if (reason >= 0) {
        c->trace_size = 0;
        note_dropped(c, reason, type_id, length, each.count);
        return each.count;
    }
    note_published(c, type_id);
    pass(router, c, each);
    return each.count;
}

/* Handle the complete frames; returns their bytes, or all if nothing more is read of the connection. */
static size_t look_through(myc_router *router, myc_connection *c, const uint8_t *bytes, size_t size) {
    const uint32_t *sizes = c->may_publish || c->knows ? NULL : router->sizes;
    size_t done = 0, frames_in = 0, bytes_in = 0;
    router->run_count = router->block_start = 0;
    router->block_size = router->block_frames = 0;
    c->backlog = 0;
    if (c->limited) fill_budget(&c->budget, now_s());
    while (size - done >= MYC_HEADER_SIZE && !c->ended && !c->deaf) {
        uint16_t type_id = myc_load_u16(bytes + done);
        if (is_held(c, type_id)) {
            c->backlog = 1;
            break;
        }
        uint32_t length = myc_load_u32(bytes + done + 2);
        if (length > router->options.max_payload) {
            myc_event event = {c, MYC_EVENT_TOO_LONG, 0, type_id, length, NULL, 0};
            c->deaf = 1;
            touch(c);
            if (tell(router, event)) end(c, MYC_END_MEMORY, 0);
            break;
        }
        size_t span = myc_uniform_span(bytes + done, size - done, type_id, length);
        if (!span) break;
        size_t step = MYC_HEADER_SIZE + (size_t)length, count = span == step ? 1 : span / step;
        if (c->limited && !(count = affordable(&c->budget, count, step))) {
            throttle(c);
            continue;
        }
        run each = {bytes + done, count * step, step, count, type_id};
        if (sizes && sizes[type_id] == length + 1 && !c->trace_size) { /* what handle() comes to, nearly always */
            c->greeted = 1;
            frames_in += count;
            bytes_in += each.size;
            add(&router->type_frames[type_id], count);
            add(&router->type_bytes[type_id], each.size);
            note_published(c, type_id);
            extend(router, c, &each);
        } else {
            count = handle(router, c, each);
        }
        done += count * step;
        if (c->limited) charge(&c->budget, count, count * step);
    }
    add(&c->frames_in, frames_in);
    add(&c->bytes_in, bytes_in);
    pass_on(router, c, 0);
    if (c->limited && !c->ended && !affordable(&c->budget, 1, 1)) throttle(c);
    return c->ended || c->deaf ? size : done;
}

/* So many bytes of `partial` and the read buffer after it: enough room for `partial` was left before them. */
static void take_in(myc_router *router, myc_connection *c, size_t size) {
    size_t have = c->have, done;
    if (have + size < wanted(c)) { /* not enough yet: however little comes at a time, it is copied once */
        size_t room = have + size < 2 * c->room ? 2 * c->room : have + size;
        if (have + size > c->room && grow_partial(c, room)) return;
        memcpy(c->partial + have, router->buffer + have, size);
        c->have += size;
        return;
    }
    if (have) memcpy(router->buffer, c->partial, have);
    size += have;
    done = look_through(router, c, router->buffer, size);
    settle(router);
    if (done == size) {
        forget_partial(c);
    } else if (!grow_partial(c, size - done)) {
        memcpy(c->partial, router->buffer + done, size - done);
        c->have = size - done;
    }
}

/* What is in `partial`: a large frame, what came with the connection, or what was left when it was held. */
static void take_up(myc_router *router, myc_connection *c) {
    size_t size = c->have, done = look_through(router, c, c->partial, size);
    settle(router);
    if (done == size) {
        forget_partial(c);
    } else if (done) {
        memmove(c->partial, c->partial + done, size - done);
        c->have = size - done;
    }
}

/* The peer sends no more. What waits for it is sent, if it takes it; nothing is added. */
static void hear_the_end(myc_router *router, myc_connection *c) {
    c->at_end = 1;
    if (!c->closing) c->closing = c->have ? MYC_END_WITHIN : MYC_END_CLOSED;
    no_longer_full(c);
    remove_from_lists(router, c);
    if (!pending(c) || c->mute || c->shut) end(c, c->closing, 0);
    else if (c->deadline <= 0) set_deadline(c, now_s() + router->options.stall_timeout_s);
}

/* One read of a connection: as much as fits, so that others have their turn. */
static void read_in(myc_router *router, myc_connection *c) {
    int ignored = c->deaf || c->closing;
    if (ignored) forget_partial(c);
    size_t frame = wanted(c), room;
    uint8_t *to;
    int large = frame > router->large_frame;
    if (large) {
        /* By what has come, never by what a header merely claims. */
        size_t grown = 2 * c->have > CHUNK_SIZE ? 2 * c->have : CHUNK_SIZE;
        if (c->have == c->room && grow_partial(c, grown < frame ? grown : frame)) return;
        to = c->partial + c->have;
        room = (c->room < frame ? c->room : frame) - c->have;
    } else {
        to = router->buffer + c->have;
        room = router->options.read_size - c->have;
    }
    ssize_t got;
    do got = recv(c->fd, to, room, MSG_DONTWAIT);
    while (got < 0 && errno == EINTR);
    if (got < 0) {
        if (errno == EAGAIN || errno == EWOULDBLOCK) return;
        end(c, MYC_END_BROKEN, (uint64_t)errno);
        return;
    }
    if (got == 0) {
        hear_the_end(router, c);
        return;
    }
    add(&c->reads, 1);
    if (ignored) return;
    if (!large) {
        take_in(router, c, (size_t)got);
        return;
    }
    c->have += (size_t)got;
    if (c->have == frame) take_up(router, c);
}

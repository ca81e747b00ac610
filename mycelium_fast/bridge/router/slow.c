/* Connections that are too slow. One whose output has no room for what is to be put into it is full until half of
 * `max_output` is sent. While it is,
 *
 *     MYC_DROP         frames for it are left out and counted by type; `Lagged` tells it where the gap is
 *     MYC_BLOCK        frames are put all the same, and their senders are not read (`held`): what waits for it is
 *                      bounded by `max_output` and one read (and its incomplete frame) of each sender
 *     MYC_DISCONNECT   it does not come to that
 *
 * Whatever the limit, one block may wait where nothing does (MYC_DROP: one frame).
 */

static void miss(myc_connection *c, uint16_t type_id, uint64_t count) {
    add(&c->missed_ever, count);
    if (!c->missed) c->missed = calloc(PAGES, sizeof *c->missed);
    uint64_t **page = c->missed ? &c->missed[type_id / PAGE] : NULL;
    if (page && !*page) *page = calloc(PAGE, sizeof **page);
    if (!page || !*page) {
        end(c, MYC_END_MEMORY, 0); /* rather than a report that is not exact */
        return;
    }
    (*page)[type_id % PAGE] += count;
    c->has_missed = 1;
}

/* `Lagged` for each type of which frames were left out, at the place in the stream where they are missing. */
static void report_missed(myc_connection *c) {
    if (!c->has_missed) return;
    c->has_missed = 0;
    for (unsigned page = 0; page < PAGES; page++) {
        uint64_t *counts = c->missed[page];
        for (unsigned i = 0; counts && i < PAGE; i++) {
            if (!counts[i]) continue;
            if (c->flags & MYC_LAG_REPORTS && !c->ended && !c->mute && !c->shut) {
                uint8_t frame[MYC_HEADER_SIZE + LAGGED_SIZE] = {0};
                uint16_t type_id = (uint16_t)(page * PAGE + i);
                myc_store_header(frame, LAGGED, LAGGED_SIZE);
                memcpy(frame + MYC_HEADER_SIZE, &type_id, 2);
                memcpy(frame + MYC_HEADER_SIZE + 8, &counts[i], 8);
                put(c, frame, sizeof frame, 0);
            }
            counts[i] = 0;
        }
    }
}

/* It is not full, or leaves: its senders are read again. */
static void no_longer_full(myc_connection *c) {
    if (!c->full) return;
    c->full = 0;
    leave_sorted(&c->router->full, c);
    if (!c->closing) set_deadline(c, 0);
    for (uint32_t i = 0; i < c->held.count; i++) {
        c->held.items[i]->blocked_by--;
        let_go(c->held.items[i]);
    }
    c->held.count = 0;
    report_missed(c);
}

/* Some of its output was sent. */
static void relieve(myc_connection *c) {
    if (pending(c) <= c->router->options.max_output / 2 || c->mute || c->ended) no_longer_full(c);
}

/* Whether there is no room for so many bytes, now that the kernel has what it takes. */
static int lacks_room(myc_connection *c, size_t size) {
    size_t most = c->router->options.max_output;
    if (pending(c) + size <= most) return 0;
    if (!(c->waiting && c->interest & POLLOUT)) send_out(c);
    return pending(c) && pending(c) + size > most;
}

static void tell_lagging(myc_connection *c) {
    if (c->told_lagging) return;
    c->told_lagging = 1;
    myc_event event = {c, MYC_EVENT_LAGGING, 0, 0, 0, NULL, 0};
    tell(c->router, event);
}

/* MYC_BLOCK: do not read a sender until a connection has room. */
static void hold_for(myc_connection *sender, myc_connection *c) {
    if (!c->full) {
        if (join_sorted(&c->router->full, c)) {
            end(c, MYC_END_MEMORY, 0);
            return;
        }
        c->full = 1;
        set_deadline(c, now_s() + c->router->options.stall_timeout_s);
        tell_lagging(c);
    }
    if (contains(&c->held, sender)) return;
    if (join_sorted(&c->held, sender)) {
        end(c, MYC_END_MEMORY, 0);
        return;
    }
    sender->blocked_by++;
    hold(sender);
}

/* MYC_DROP: put the frames for which there is room, and miss the others. */
static void put_or_miss(myc_connection *c, const run *runs, size_t count) {
    size_t most = c->router->options.max_output;
    for (size_t i = 0; i < count && !c->ended && !c->mute; i++) {
        const run *each = &runs[i];
        size_t done = 0;
        while (!c->full && !c->ended && !c->mute && done < each->count) {
            if (lacks_room(c, each->step)) {
                c->full = 1;
                break;
            }
            size_t fit = pending(c) < most ? (most - pending(c)) / each->step : 0;
            if (!fit) fit = 1;
            if (fit > each->count - done) fit = each->count - done;
            put(c, each->bytes + done * each->step, fit * each->step, 1);
            add(&c->frames_out, fit);
            add(&c->bytes_out, fit * each->step);
            done += fit;
        }
        if (done < each->count) miss(c, each->type_id, each->count - done);
    }
    if (c->full) tell_lagging(c);
}

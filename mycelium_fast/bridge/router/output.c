/* Bytes for a connection, until the kernel has them: in chunks, of which the router keeps spare ones, and the last of
 * them where they were read (the slice). How much may wait is for slow.c to say.
 *
 *     head                          tail
 *     [ sent | waiting ] -> ... -> [ waiting | room ] -> slice: bytes of the read buffer
 *
 * During a read, a slice may only grow; anything else that is put after it copies it to the chunks first. Before the
 * read buffer is used again, `settle()` sends what the kernel takes and copies the rest.
 */

#ifdef MSG_NOSIGNAL
#define SEND_FLAGS (MSG_DONTWAIT | MSG_NOSIGNAL)
#else
#define SEND_FLAGS MSG_DONTWAIT
#endif

static chunk *new_chunk(myc_router *router) {
    chunk *made = router->spare;
    if (made) {
        router->spare = made->next;
        router->spare_count--;
    } else if (!(made = malloc(CHUNK_SIZE))) {
        return NULL;
    }
    made->next = NULL;
    made->begin = made->end = 0;
    return made;
}

static void free_chunk(myc_router *router, chunk *old) {
    if (router->spare_count < router->options.spare_chunks) {
        old->next = router->spare;
        router->spare = old;
        router->spare_count++;
    } else {
        free(old);
    }
}

static void drop_output(myc_connection *c) {
    while (c->head) {
        chunk *next = c->head->next;
        free_chunk(c->router, c->head);
        c->head = next;
    }
    c->tail = NULL;
    c->waiting = c->slice_size = 0;
    set(&c->pending, 0);
}

static int copy_out(myc_connection *c, const uint8_t *bytes, size_t size) {
    while (size) {
        chunk *tail = c->tail;
        if (!tail || tail->end == CHUNK_ROOM) {
            tail = new_chunk(c->router);
            if (!tail) {
                end(c, MYC_END_MEMORY, 0);
                return -1;
            }
            if (c->tail) c->tail->next = tail;
            else c->head = tail;
            c->tail = tail;
        }
        size_t part = CHUNK_ROOM - tail->end;
        if (part > size) part = size;
        memcpy(tail->bytes + tail->end, bytes, part);
        tail->end += (uint32_t)part;
        c->waiting += part;
        bytes += part;
        size -= part;
    }
    return 0;
}

static int copy_slice(myc_connection *c) {
    size_t size = c->slice_size;
    c->slice_size = 0;
    return size ? copy_out(c, c->slice, size) : 0;
}

static void mark_dirty(myc_connection *c) {
    if (c->dirty) return;
    if (join(&c->router->dirty, c)) {
        end(c, MYC_END_MEMORY, 0);
        return;
    }
    c->dirty = 1;
    touch(c);
}

/* Bytes that stay where they are until `settle()`, or, if not `lasting`, until this returns. */
static void put(myc_connection *c, const uint8_t *bytes, size_t size, int lasting) {
    if (lasting && c->slice_size && c->slice + c->slice_size == bytes) {
        c->slice_size += size;
    } else {
        if (copy_slice(c)) return;
        if (lasting) {
            c->slice = bytes;
            c->slice_size = size;
        } else if (copy_out(c, bytes, size)) {
            return;
        }
    }
    mark_dirty(c);
}

/* Bytes that the kernel took, 0 for none now, -1 after an error. */
static ssize_t give(myc_connection *c, struct iovec *parts, int count) {
    struct msghdr message;
    memset(&message, 0, sizeof message);
    message.msg_iov = parts;
    message.msg_iovlen = (size_t)count;
    for (;;) {
        ssize_t sent = sendmsg(c->fd, &message, SEND_FLAGS);
        if (sent >= 0) return sent;
        if (errno == EINTR) continue;
        if (errno == EAGAIN || errno == EWOULDBLOCK || errno == ENOBUFS) return 0;
        /* What it sent before it went away is still to be read; that tells the end. */
        c->mute = 1;
        drop_output(c);
        touch(c);
        return -1;
    }
}

/* `size` bytes were sent: from the chunks, then from the slice. */
static void advance(myc_connection *c, size_t size) {
    while (size && c->head) {
        size_t part = c->head->end - c->head->begin;
        if (part > size) {
            c->head->begin += (uint32_t)size;
            c->waiting -= size;
            return;
        }
        size -= part;
        c->waiting -= part;
        chunk *next = c->head->next;
        free_chunk(c->router, c->head);
        c->head = next;
        if (!next) c->tail = NULL;
    }
    c->slice += size;
    c->slice_size -= size;
}

/* Send what the kernel takes. */
static void send_out(myc_connection *c) {
    while (pending(c) && !c->mute) {
        struct iovec parts[MOST_PARTS];
        int count = 0;
        size_t offered = 0;
        chunk *each;
        for (each = c->head; each && count < MOST_PARTS; each = each->next) {
            parts[count].iov_base = each->bytes + each->begin;
            parts[count].iov_len = each->end - each->begin;
            offered += parts[count++].iov_len;
        }
        if (!each && c->slice_size && count < MOST_PARTS) {
            parts[count].iov_base = (void *)c->slice;
            parts[count].iov_len = c->slice_size;
            offered += parts[count++].iov_len;
        }
        ssize_t sent = give(c, parts, count);
        if (sent <= 0) break;
        if (c->deadline > 0 && c->closing != MYC_END_ASKED) /* slow, but there */
            set_deadline(c, now_s() + c->router->options.stall_timeout_s);
        advance(c, (size_t)sent);
        if ((size_t)sent < offered) break;
    }
    if (!pending(c)) {
        c->answers = 0;
        if (c->held_for_answers) {
            c->held_for_answers = 0;
            let_go(c);
        }
    }
    set(&c->pending, pending(c));
    if (c->full) relieve(c);
}

/* Before what was read is gone: send to everyone who got some of it, and copy the rest. */
static void settle(myc_router *router) {
    /* (A relieved connection may be marked dirty anew, at the end of the list.) */
    for (uint32_t i = 0; i < router->dirty.count; i++) {
        myc_connection *c = router->dirty.items[i];
        c->dirty = 0;
        if (c->ended) continue;
        /* While the poller waits until it can be written to, sending is mostly in vain; copying much is worse. */
        if (!(c->interest & POLLOUT) || c->slice_size > CHUNK_SIZE) send_out(c);
        copy_slice(c);
        set(&c->pending, pending(c));
    }
    router->dirty.count = 0;
}

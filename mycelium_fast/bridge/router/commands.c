/* What the control plane says, in the router's thread: commands take effect between reads, in the order in which they
 * were posted.
 *
 * A connection is the router's from ADD to RELEASE, which comes after MYC_EVENT_ENDED was taken: no command names one
 * that is gone.
 */

static void free_command(command *each) {
    free(each->publish);
    free(each->receive);
    free(each);
}

static void free_connection(myc_connection *c) {
    for (unsigned page = 0; c->missed && page < PAGES; page++) free(c->missed[page]);
    void *memory[] = {c->missed, c->partial, c->held.items, c->types, c->may_publish, c->may_receive,
                      c->knows, atomic_load(&c->published), c};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) free(memory[i]);
}

static void take_permissions(myc_connection *c, command *each) {
    free(c->may_publish);
    free(c->may_receive);
    c->may_publish = each->publish;
    c->may_receive = each->receive;
    each->publish = each->receive = NULL;
    c->noted_count = 0; /* another rule is another reason to tell */
}

static void admit(myc_router *router, myc_connection *c, command *each) {
    take_permissions(c, each);
    c->place = router->all.count;
    if (join(&router->all, c)) {
        close(c->fd);
        c->ended = c->buried = 1;
        myc_event event = {c, MYC_EVENT_ENDED, MYC_END_MEMORY, 0, 0, NULL, 0};
        tell(router, event);
        return;
    }
#ifdef SO_NOSIGPIPE
    int yes = 1;
    setsockopt(c->fd, SOL_SOCKET, SO_NOSIGPIPE, &yes, sizeof yes);
#endif
    if (each->frames_per_s > 0 || each->bytes_per_s > 0) limit(c, each->frames_per_s, each->bytes_per_s);
    insert_into_lists(router, c);
    if (router->stopping) end(c, MYC_END_ASKED, 0);
    touch(c); /* the poller is to know of it */
    c->newcomer = 1;
    if (!each->size || c->ended || grow_partial(c, each->size)) return;
    memcpy(c->partial, each->bytes, each->size);
    c->have = each->size;
}

/* What newcomers have sent already, before anything of others reaches them: if that is a `Hello`, nothing is to. */
static void hear_newcomers(myc_router *router) {
    for (uint32_t i = 0; i < router->touched.count; i++) {
        myc_connection *c = router->touched.items[i];
        if (!c->newcomer) continue;
        c->newcomer = 0;
        if (c->have && !c->ended) take_up(router, c);
        if (!c->ended && !c->holds && !c->backlog) read_in(router, c);
    }
}

/* The control plane answered what the connection was held for. */
static void take_word(myc_connection *c) {
    if (c->held_for_word) let_go(c);
    c->held_for_word = 0;
}

static void close_down(myc_router *router, myc_connection *c, double timeout_s) {
    if (c->ended) return;
    c->closing = MYC_END_ASKED;
    forget_partial(c);
    remove_from_lists(router, c);
    no_longer_full(c);
    touch(c);
    if (timeout_s <= 0 || c->mute || c->at_end) end(c, MYC_END_ASKED, 0);
    else set_deadline(c, now_s() + timeout_s);
}

static void send_answers(myc_router *router, myc_connection *c, const uint8_t *bytes, size_t size) {
    if (c->mute || c->shut) return;
    report_missed(c);
    c->answers += size;
    if (c->answers > router->options.max_control_output && !c->held_for_answers) {
        c->held_for_answers = 1;
        hold(c);
    }
    put(c, bytes, size, 0);
    settle(router);
}

static void stop(myc_router *router, double timeout_s) {
    router->stopping = 1;
    router->stop_at = now_s() + timeout_s;
    for (uint32_t i = 0; i < router->all.count; i++) close_down(router, router->all.items[i], timeout_s);
}

static void execute(myc_router *router, command *each) {
    myc_connection *c = each->connection;
    if (each->kind == STOP) stop(router, each->timeout_s);
    else if (each->kind == ADD) admit(router, c, each);
    else if (each->kind == RELEASE) free_connection(c);
    else if (!c->ended) switch (each->kind) {
        case SET_FLAGS:
            remove_from_lists(router, c);
            c->flags = each->flags;
            take_word(c);
            if (!c->closing) insert_into_lists(router, c);
            break;
        case SEND:
            send_answers(router, c, each->bytes, each->size);
            break;
        case SUBSCRIBE:
            if (c->closing) break;
            take_word(c);
            if (each->all) subscribe_to_all(router, c, each->flags != 0);
            else subscribe(router, c, each->flags != 0, (const uint16_t *)(const void *)each->bytes, each->size / 2);
            break;
        case ALLOW:
            remove_from_lists(router, c);
            take_permissions(c, each);
            if (!c->closing) insert_into_lists(router, c);
            break;
        case LIMIT:
            limit(c, each->frames_per_s, each->bytes_per_s);
            break;
        case CLOSE:
            close_down(router, c, each->timeout_s);
            break;
        }
}

/* The control plane took events: those who were held until it did are let go. */
static void look_at_epoch(myc_router *router) {
    uint64_t epoch = get(&router->epoch);
    if (epoch == router->seen_epoch) return;
    router->seen_epoch = epoch;
    if (!atomic_load(&router->event_holds)) return;
    for (uint32_t i = 0; i < router->all.count; i++) {
        myc_connection *c = router->all.items[i];
        if (c->held_for_events && c->event_epoch != epoch) {
            c->held_for_events = 0;
            let_go(c);
            atomic_fetch_sub(&router->event_holds, 1);
        }
    }
}

static void obey(myc_router *router) {
    pthread_mutex_lock(&router->lock);
    command *each = router->first;
    router->first = router->last = NULL;
    pthread_mutex_unlock(&router->lock);
    while (each) {
        command *next = each->next;
        execute(router, each);
        free_command(each);
        each = next;
    }
    hear_newcomers(router);
    look_at_epoch(router);
}

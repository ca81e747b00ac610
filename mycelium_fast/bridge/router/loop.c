/* Rounds of the router's thread: commands, then whatever the poller says, then what comes to an end.
 *
 *     obey() -> finish_round() -> hand_over_events() -> wait() -> attend() each -> obey() -> ...
 *
 * Nobody joins or leaves `all` while the poller's answers are gone through: ends are marked (`end()`), and connections
 * buried afterwards. The poller is only told of connections that are waited for at all: it would report the end of
 * one that is held again and again.
 */

/* --- what the poller waits for -------------------------------------------------------------------------------- */

static unsigned interest_of(const myc_connection *c) {
    unsigned interest = 0;
    if (!c->at_end && ((!c->holds && !c->backlog) || c->closing || c->deaf)) interest |= POLLIN;
    if (c->waiting && !c->mute) interest |= POLLOUT;
    return interest;
}

static void set_interest(myc_router *router, myc_connection *c, unsigned interest) {
    unsigned before = c->interest;
    if (interest == before) return;
    c->interest = interest;
#if HAVE_EPOLL
    if (router->poller >= 0) {
        struct epoll_event event = {0};
        event.events = (interest & POLLIN ? EPOLLIN : 0u) | (interest & POLLOUT ? EPOLLOUT : 0u);
        event.data.ptr = c;
        int change = !before ? EPOLL_CTL_ADD : interest ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
        if (epoll_ctl(router->poller, change, c->fd, &event) && interest) {
            c->interest = 0;
            end(c, MYC_END_BROKEN, (uint64_t)errno);
        }
    }
#else
    (void)router;
#endif
}

/* --- the end of connections ------------------------------------------------------------------------------------ */

static void bury(myc_router *router, myc_connection *c) {
    c->buried = 1;
    remove_from_lists(router, c);
    set_deadline(c, 0);
    no_longer_full(c);
    for (uint32_t i = 0; c->blocked_by && i < router->full.count; i++) {
        members *held = &router->full.items[i]->held;
        if (!contains(held, c)) continue;
        leave_sorted(held, c);
        c->blocked_by--;
    }
    if (c->throttled) release_throttled(router, 0, c);
    if (c->held_for_events) atomic_fetch_sub(&router->event_holds, 1);
    myc_connection *moved = router->all.items[--router->all.count];
    router->all.items[c->place] = moved;
    moved->place = c->place;
    drop_output(c);
    forget_partial(c);
    /* Another process may have the socket as well, having been forked: it stays in the poller, and open to the peer,
     * unless that is said. */
    set_interest(router, c, 0);
    shutdown(c->fd, SHUT_RDWR);
    close(c->fd);
    c->fd = -1;
}

static void bury_the_dead(myc_router *router) {
    uint32_t kept = 0;
    for (uint32_t i = 0; i < router->dead.count; i++) {
        myc_connection *c = router->dead.items[i];
        if (!c->buried) bury(router, c);
        myc_event event = {c, MYC_EVENT_ENDED, c->ended, 0, c->end_number, NULL, 0};
        if (tell(router, event)) router->dead.items[kept++] = c; /* no memory now: told later */
    }
    router->dead.count = kept;
}

/* Connections that are closing, stalled, or of which nothing more is read. */
static void look_after(myc_router *router, myc_connection *c, double now) {
    if (c->backlog && !c->holds && !c->ended) take_up(router, c);
    if (c->ended) return;
    if (c->closing && !pending(c) && !c->shut) {
        /* Closed with bytes of the peer's unread, the connection would be reset, and what is on its way lost. */
        c->shut = 1;
        if (c->at_end || shutdown(c->fd, SHUT_WR)) end(c, c->closing, 0);
    }
    if (c->mute && c->closing) end(c, c->closing, 0);
    if (c->deadline > 0 && now >= c->deadline) end(c, c->closing ? c->closing : MYC_END_SLOW, pending(c));
    if (!c->ended) set_interest(router, c, interest_of(c));
}

/* Everything but what the poller waits for; returns when the deadlines were looked at. */
static double finish_round(myc_router *router, double last_look) {
    double now = router->timed || router->touched.count ? now_s() : 0;
    settle(router);
    if (router->timed && now - last_look >= TICK_MS / 1000.0) {
        last_look = now;
        for (uint32_t i = 0; i < router->all.count; i++) {
            myc_connection *c = router->all.items[i];
            if (c->deadline <= 0) continue;
            touch(c);
            send_out(c); /* the kernel may have room long before it says so */
        }
    }
    uint32_t unburied;
    do {
        /* (Looking after one may touch others, at the end of the list.) */
        for (uint32_t i = 0; i < router->touched.count; i++) {
            router->touched.items[i]->touched = 0;
            look_after(router, router->touched.items[i], now);
        }
        router->touched.count = 0;
        settle(router); /* so that nobody who is buried is in that list */
        bury_the_dead(router);
        unburied = router->dead.count;
    } while (router->touched.count || router->dirty.count || router->dead.count > unburied);
    return last_look;
}

/* --- waiting ----------------------------------------------------------------------------------------------------- */

static void attend(myc_router *router, myc_connection *c, unsigned events) {
    if (c->ended) return;
    touch(c);
    if (events & POLLOUT) {
        send_out(c);
        settle(router);
    }
    if (!(events & ~(unsigned)POLLOUT) || c->ended) return;
    if (interest_of(c) & POLLIN) {
        read_in(router, c);
    } else if (events & (POLLERR | POLLHUP)) {
        /* Nobody is left there; what it sent before waits for its turn, if it has one. */
        c->mute = 1;
        drop_output(c);
        no_longer_full(c);
    }
}

static void empty_pipe(int fd) {
    char waste[64];
    while (read(fd, waste, sizeof waste) == (ssize_t)sizeof waste) {}
}

static void wait_polling(myc_router *router, int timeout_ms) {
    size_t count = 1 + router->all.count;
    if (count > router->polled_room) {
        struct pollfd *polled = realloc(router->polled, 2 * count * sizeof *polled);
        if (!polled) {
            poll(NULL, 0, TICK_MS); /* there may be memory then */
            return;
        }
        router->polled = polled;
        router->polled_room = 2 * count;
    }
    router->polled[0].fd = router->wake_read;
    router->polled[0].events = POLLIN;
    for (uint32_t i = 0; i < router->all.count; i++) {
        const myc_connection *c = router->all.items[i];
        router->polled[i + 1].fd = c->interest ? c->fd : -1;
        router->polled[i + 1].events = (short)c->interest;
    }
    if (poll(router->polled, count, timeout_ms) <= 0) return;
    if (router->polled[0].revents) empty_pipe(router->wake_read);
    for (size_t i = 1; i < count; i++)
        if (router->polled[i].revents) attend(router, router->all.items[i - 1], (unsigned)router->polled[i].revents);
}

#if HAVE_EPOLL
static void wait_epoll(myc_router *router, int timeout_ms) {
    struct epoll_event events[MOST_POLLED];
    int count = epoll_wait(router->poller, events, MOST_POLLED, timeout_ms);
    for (int i = 0; i < count; i++) {
        unsigned seen = events[i].events;
        if (!events[i].data.ptr) {
            empty_pipe(router->wake_read);
            continue;
        }
        attend(router, events[i].data.ptr, (seen & EPOLLIN ? POLLIN : 0u) | (seen & EPOLLOUT ? POLLOUT : 0u) |
                                               (seen & EPOLLERR ? POLLERR : 0u) | (seen & EPOLLHUP ? POLLHUP : 0u));
    }
}
#endif

/* Until the next deadline, in milliseconds; -1 where there is none. */
static int time_to_wait(const myc_router *router) {
    int timeout_ms = router->timed || router->stopping || router->fresh_count || router->dead.count ? TICK_MS : -1;
    if (router->throttled.count) {
        double left_ms = 1000 * (router->next_due - now_s());
        int due_ms = left_ms <= 0 ? 0 : left_ms < 60000 ? (int)left_ms + 1 : 60000;
        if (timeout_ms < 0 || due_ms < timeout_ms) timeout_ms = due_ms;
    }
    return timeout_ms;
}

void myc_router_run(myc_router *router) {
    double last_look = 0;
    for (;;) {
        obey(router);
        look_at_throttled(router);
        if (router->stopping && now_s() >= router->stop_at + 1) /* (their own deadlines come first) */
            for (uint32_t i = 0; i < router->all.count; i++) end(router->all.items[i], MYC_END_ASKED, 0);
        last_look = finish_round(router, last_look);
        hand_over_events(router);
        if (router->stopping && !router->all.count && !router->dead.count) break;
        int timeout_ms = time_to_wait(router);
#if HAVE_EPOLL
        if (router->poller >= 0) {
            wait_epoll(router, timeout_ms);
            continue;
        }
#endif
        wait_polling(router, timeout_ms);
    }
}

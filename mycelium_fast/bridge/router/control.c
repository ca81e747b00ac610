/* The functions that the control plane calls, from its own thread: they post commands and take events, and touch
 * nothing else of the router's but counters.
 */

static void wake(myc_router *router) {
    if (write(router->wake_write, "", 1) < 0) { /* full: it is set */ }
}

/* Hand over commands that are linked, from one to another. */
static void hand_over(myc_router *router, command *from, command *to) {
    pthread_mutex_lock(&router->lock);
    int first = !router->first;
    if (first) router->first = from;
    else router->last->next = from;
    router->last = to;
    pthread_mutex_unlock(&router->lock);
    if (first) wake(router);
}

static void post(myc_router *router, command *each) {
    if (!router->corked) {
        hand_over(router, each, each);
        return;
    }
    if (router->corked_last) router->corked_last->next = each;
    else router->corked_first = each;
    router->corked_last = each;
}

void myc_router_cork(myc_router *router) { router->corked++; }

void myc_router_uncork(myc_router *router) {
    if (--router->corked) return;
    if (router->corked_first) hand_over(router, router->corked_first, router->corked_last);
    router->corked_first = router->corked_last = NULL;
}

static command *new_command(int kind, myc_connection *c, const void *bytes, size_t size) {
    command *made = calloc(1, sizeof *made + size);
    if (!made) return NULL;
    made->kind = kind;
    made->connection = c;
    made->size = size;
    if (size) memcpy(made->bytes, bytes, size);
    return made;
}

static int make_pipe(int *read_end, int *write_end) {
    int ends[2];
    if (pipe(ends)) return -1;
    *read_end = ends[0];
    *write_end = ends[1];
    for (int i = 0; i < 2; i++)
        if (fcntl(ends[i], F_SETFL, O_NONBLOCK) || fcntl(ends[i], F_SETFD, FD_CLOEXEC)) return -1;
    return 0;
}

static int make_poller(myc_router *router) {
#if HAVE_EPOLL
    if (router->options.use_poll) return 0;
    struct epoll_event event = {0}; /* of no connection: it is the pipe's */
    event.events = EPOLLIN;
    router->poller = epoll_create1(EPOLL_CLOEXEC);
    return router->poller < 0 || epoll_ctl(router->poller, EPOLL_CTL_ADD, router->wake_read, &event) ? -1 : 0;
#else
    (void)router;
    return 0;
#endif
}

myc_router *myc_router_new(const myc_router_options *options) {
    myc_router *router = calloc(1, sizeof *router);
    if (!router) return NULL;
    router->options = *options;
    router->options.sizes = router->options.core = NULL;
    router->poller = router->wake_read = router->wake_write = router->event_read = router->event_write = -1;
    pthread_mutex_init(&router->lock, NULL);
    if (router->options.read_size < MYC_LEAST_READ_SIZE) router->options.read_size = MYC_LEAST_READ_SIZE;
    router->large_frame = router->options.read_size / 2;
    router->buffer = malloc(router->options.read_size);
    router->subscribers = calloc(MYC_TYPES, sizeof *router->subscribers);
    router->type_frames = calloc(MYC_TYPES, sizeof *router->type_frames);
    router->type_bytes = calloc(MYC_TYPES, sizeof *router->type_bytes);
    if (options->sizes && (router->sizes = malloc(MYC_TYPES * sizeof *router->sizes)))
        memcpy(router->sizes, options->sizes, MYC_TYPES * sizeof *router->sizes);
    size_t core_size = options->first_application_id * sizeof *router->core;
    if (options->core && (router->core = malloc(core_size ? core_size : 1)))
        memcpy(router->core, options->core, core_size);
    if (!router->buffer || !router->subscribers || !router->type_frames || !router->type_bytes ||
        (options->sizes && !router->sizes) || (options->core && !router->core) ||
        make_pipe(&router->wake_read, &router->wake_write) || make_pipe(&router->event_read, &router->event_write) ||
        make_poller(router)) {
        int code = errno;
        myc_router_free(router);
        errno = code;
        return NULL;
    }
    return router;
}

static void free_events(myc_event *events, size_t count) {
    for (size_t i = 0; i < count; i++) {
        free(events[i].data);
        if (events[i].kind == MYC_EVENT_ENDED) free_connection(events[i].connection); /* nobody can release it now */
    }
    free(events);
}

/* (There are no connections but those in the queues: as long as it runs, it ends them.) */
void myc_router_free(myc_router *router) {
    router->corked = 1; /* whatever it was */
    myc_router_uncork(router);
    for (command *each = router->first; each;) {
        command *next = each->next;
        if (each->kind == ADD) {
            close(each->connection->fd);
            free_connection(each->connection);
        } else if (each->kind == RELEASE) {
            free_connection(each->connection);
        }
        free_command(each);
        each = next;
    }
    free_events(router->events, router->event_count);
    free_events(router->fresh, router->fresh_count);
    while (router->spare) {
        chunk *next = router->spare->next;
        free(router->spare);
        router->spare = next;
    }
    for (size_t i = 0; router->subscribers && i < MYC_TYPES; i++) free(router->subscribers[i].items);
    int descriptors[] = {router->poller, router->wake_read, router->wake_write, router->event_read,
                         router->event_write};
    for (size_t i = 0; i < sizeof descriptors / sizeof *descriptors; i++)
        if (descriptors[i] >= 0) close(descriptors[i]);
    void *memory[] = {router->all.items, router->everyone.items, router->dirty.items, router->touched.items,
                      router->full.items, router->throttled.items, router->dead.items, router->subscribers,
                      router->buffer, router->polled, router->sizes, router->core, router->type_frames,
                      router->type_bytes};
    for (size_t i = 0; i < sizeof memory / sizeof *memory; i++) free(memory[i]);
    pthread_mutex_destroy(&router->lock);
    free(router);
}

int myc_router_stop(myc_router *router, double timeout_s) {
    command *each = new_command(STOP, NULL, NULL, 0);
    if (!each) return -1;
    each->timeout_s = timeout_s;
    post(router, each);
    return 0;
}

static int copy_bits(uint64_t **to, const uint64_t *from) {
    if (!from) return 0;
    if (!(*to = malloc(MYC_TYPE_WORDS * sizeof **to))) return -1;
    memcpy(*to, from, MYC_TYPE_WORDS * sizeof **to);
    return 0;
}

static int copy_permissions(command *each, const uint64_t *publish, const uint64_t *receive) {
    return copy_bits(&each->publish, publish) || copy_bits(&each->receive, receive) ? -1 : 0;
}

myc_connection *myc_router_add(myc_router *router, int fd, uint64_t id, const myc_connection_options *options,
                               const uint8_t *bytes, size_t size) {
    myc_connection *c = calloc(1, sizeof *c);
    command *each = c ? new_command(ADD, c, bytes, size) : NULL;
    if (!each || copy_permissions(each, options->publish, options->receive) || copy_bits(&c->knows, options->knows)) {
        if (each) free_command(each);
        free(c);
        errno = ENOMEM;
        return NULL;
    }
    c->router = router;
    c->fd = fd;
    c->id = id;
    c->flags = options->flags;
    each->frames_per_s = options->frames_per_s;
    each->bytes_per_s = options->bytes_per_s;
    post(router, each);
    return c;
}

uint64_t myc_connection_id(const myc_connection *c) { return c->id; }

int myc_router_set_flags(myc_router *router, myc_connection *c, unsigned flags) {
    command *each = new_command(SET_FLAGS, c, NULL, 0);
    if (!each) return -1;
    each->flags = flags;
    post(router, each);
    return 0;
}

int myc_router_send(myc_router *router, myc_connection *c, const uint8_t *bytes, size_t size) {
    command *each = new_command(SEND, c, bytes, size);
    if (!each) return -1;
    post(router, each);
    return 0;
}

int myc_router_subscribe(myc_router *router, myc_connection *c, int yes, int all, const uint16_t *types,
                         size_t count) {
    command *each = new_command(SUBSCRIBE, c, types, count * sizeof *types);
    if (!each) return -1;
    each->flags = yes ? 1 : 0;
    each->all = all;
    post(router, each);
    return 0;
}

int myc_router_allow(myc_router *router, myc_connection *c, const uint64_t *publish, const uint64_t *receive) {
    command *each = new_command(ALLOW, c, NULL, 0);
    if (!each) return -1;
    if (copy_permissions(each, publish, receive)) {
        free_command(each);
        return -1;
    }
    post(router, each);
    return 0;
}

int myc_router_limit(myc_router *router, myc_connection *c, double frames_per_s, double bytes_per_s) {
    command *each = new_command(LIMIT, c, NULL, 0);
    if (!each) return -1;
    each->frames_per_s = frames_per_s;
    each->bytes_per_s = bytes_per_s;
    post(router, each);
    return 0;
}

int myc_router_close(myc_router *router, myc_connection *c, double timeout_s) {
    command *each = new_command(CLOSE, c, NULL, 0);
    if (!each) return -1;
    each->timeout_s = timeout_s;
    post(router, each);
    return 0;
}

void myc_router_release(myc_router *router, myc_connection *c) {
    command *each = new_command(RELEASE, c, NULL, 0);
    if (each) post(router, each); /* without memory it stays */
}

int myc_router_event_fd(const myc_router *router) { return router->event_read; }

size_t myc_router_take_events(myc_router *router, myc_event **events) {
    pthread_mutex_lock(&router->lock);
    size_t count = router->event_count;
    *events = router->events;
    router->events = NULL;
    router->event_count = router->event_room = 0;
    empty_pipe(router->event_read);
    atomic_fetch_add(&router->epoch, 1);
    pthread_mutex_unlock(&router->lock);
    if (atomic_load(&router->event_holds)) wake(router);
    return count;
}

void myc_connection_get_stats(const myc_connection *c, myc_connection_stats *stats) {
    stats->frames_in = get(&c->frames_in);
    stats->bytes_in = get(&c->bytes_in);
    stats->reads = get(&c->reads);
    stats->frames_out = get(&c->frames_out);
    stats->bytes_out = get(&c->bytes_out);
    stats->missed = get(&c->missed_ever);
    stats->pending = get(&c->pending);
    stats->held = get(&c->held_now);
    for (int i = 0; i < MYC_DROPPED_REASONS; i++) stats->dropped[i] = get(&c->dropped[i]);
}

void myc_router_type_stats(const myc_router *router, uint16_t type_id, uint64_t *frames, uint64_t *bytes) {
    *frames = get(&router->type_frames[type_id]);
    *bytes = get(&router->type_bytes[type_id]);
}

void myc_connection_published(const myc_connection *c, uint64_t *bits) {
    const counter *words = atomic_load_explicit(&((myc_connection *)c)->published, memory_order_acquire);
    for (unsigned i = 0; i < MYC_TYPE_WORDS; i++) bits[i] = words ? get(&words[i]) : 0;
}

/* Connections that send more than they may: they are read more slowly, and nothing is lost.
 *
 * Tokens for frames and for bytes fill up to one second's worth. Frames are looked at while there are tokens of both;
 * the last one may take more than there are, so that one that is larger than a second's worth passes as well. What
 * is left of a read waits in `partial` until there are tokens again, so the rate is exact however much was read.
 */

#define LEAST_WAIT_S 0.005 /* rather a few frames at once than one each time */

static void fill(double *tokens, double rate, double elapsed_s) {
    *tokens += rate * elapsed_s;
    if (*tokens > rate) *tokens = rate;
}

static void fill_budget(budget *b, double now) {
    fill(&b->frames, b->frames_per_s, now - b->filled_at);
    fill(&b->bytes, b->bytes_per_s, now - b->filled_at);
    b->filled_at = now;
}

/* How many of `count` frames of `step` bytes there are tokens for. */
static size_t affordable(const budget *b, size_t count, size_t step) {
    if ((b->frames_per_s > 0 && b->frames <= 0) || (b->bytes_per_s > 0 && b->bytes <= 0)) return 0;
    if (b->frames_per_s > 0 && b->frames < (double)count) count = (size_t)b->frames;
    if (b->bytes_per_s > 0 && b->bytes < (double)count * (double)step) count = (size_t)(b->bytes / (double)step);
    return count ? count : 1;
}

static void charge(budget *b, size_t frames, size_t bytes) {
    b->frames -= (double)frames;
    b->bytes -= (double)bytes;
}

/* There are no tokens: hold it until there are. */
static void throttle(myc_connection *c) {
    myc_router *router = c->router;
    const budget *b = &c->budget;
    double wait_s = LEAST_WAIT_S;
    if (c->throttled) return;
    if (b->frames_per_s > 0 && -b->frames > wait_s * b->frames_per_s) wait_s = -b->frames / b->frames_per_s;
    if (b->bytes_per_s > 0 && -b->bytes > wait_s * b->bytes_per_s) wait_s = -b->bytes / b->bytes_per_s;
    if (join(&router->throttled, c)) {
        end(c, MYC_END_MEMORY, 0);
        return;
    }
    c->throttled = 1;
    c->throttled_until = b->filled_at + wait_s;
    if (router->throttled.count == 1 || c->throttled_until < router->next_due) router->next_due = c->throttled_until;
    hold(c);
    if (!c->told_throttled) {
        myc_event event = {c, MYC_EVENT_THROTTLED, 0, 0, 0, NULL, 0};
        c->told_throttled = 1;
        tell(router, event);
    }
}

/* Let go those whose time has come, and `leaver`. */
static void release_throttled(myc_router *router, double now, const myc_connection *leaver) {
    members *list = &router->throttled;
    double next = 0;
    for (uint32_t i = 0; i < list->count;) {
        myc_connection *c = list->items[i];
        if (c == leaver || c->throttled_until <= now) {
            list->items[i] = list->items[--list->count];
            c->throttled = 0;
            let_go(c);
        } else {
            if (next <= 0 || c->throttled_until < next) next = c->throttled_until;
            i++;
        }
    }
    router->next_due = next;
}

static void look_at_throttled(myc_router *router) {
    if (!router->throttled.count) return;
    double now = now_s();
    if (now >= router->next_due) release_throttled(router, now, NULL);
}

static void limit(myc_connection *c, double frames_per_s, double bytes_per_s) {
    budget *b = &c->budget;
    double now = now_s();
    fill_budget(b, now);
    if (b->frames_per_s <= 0 || b->frames > frames_per_s) b->frames = frames_per_s;
    if (b->bytes_per_s <= 0 || b->bytes > bytes_per_s) b->bytes = bytes_per_s;
    b->frames_per_s = frames_per_s;
    b->bytes_per_s = bytes_per_s;
    c->limited = frames_per_s > 0 || bytes_per_s > 0;
    if (c->throttled) release_throttled(c->router, now, c); /* look again */
}

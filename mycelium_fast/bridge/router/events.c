/* What the control plane is told: events are gathered during a round, and handed over at its end, in order. */

/* Without memory the event is lost; of those that matter the caller sees to it. */
static int tell(myc_router *router, myc_event event) {
    if (router->fresh_count == router->fresh_room) {
        size_t room = router->fresh_room ? 2 * router->fresh_room : 64;
        myc_event *fresh = realloc(router->fresh, room * sizeof *fresh);
        if (!fresh) {
            free(event.data);
            return -1;
        }
        router->fresh = fresh;
        router->fresh_room = room;
    }
    router->fresh[router->fresh_count++] = event;
    return 0;
}

static void hand_over_events(myc_router *router) {
    if (!router->fresh_count) return;
    pthread_mutex_lock(&router->lock);
    if (router->event_count + router->fresh_count > router->event_room) {
        size_t room = 2 * (router->event_count + router->fresh_count);
        myc_event *events = realloc(router->events, room * sizeof *events);
        if (events) {
            router->events = events;
            router->event_room = room;
        }
    }
    if (router->event_count + router->fresh_count <= router->event_room) { /* else with the next round */
        int first = router->event_count == 0;
        memcpy(router->events + router->event_count, router->fresh, router->fresh_count * sizeof *router->fresh);
        router->event_count += router->fresh_count;
        router->fresh_count = 0;
        if (first && write(router->event_write, "", 1) < 0) { /* full: it is set */ }
    }
    pthread_mutex_unlock(&router->lock);
}

/* Frames that are passed on to nobody: counted, and told of once for each type and reason. */
static void note_dropped(myc_connection *c, int reason, uint16_t type_id, size_t length, size_t count) {
    add(&c->dropped[reason], count);
    for (unsigned i = 0; i < c->noted_count; i++)
        if (c->noted[i].reason == reason && c->noted[i].type_id == type_id) return;
    if (c->noted_count == MOST_NOTED) return;
    c->noted[c->noted_count].reason = (uint8_t)reason;
    c->noted[c->noted_count++].type_id = type_id;
    myc_event event = {c, MYC_EVENT_DROPPED, reason, type_id, length, NULL, 0};
    tell(c->router, event);
}

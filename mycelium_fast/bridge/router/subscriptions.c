/* Who gets which types. A connection is in one kind of list, or in none:
 *
 *     router->subscribers[type]   it named the types; it is in the list of each that it also may receive
 *     router->everyone            it gets every type, or all but some (then it is `selective`)
 *     none                        it is over, gets nothing for now, or asked for nothing
 *
 * Who said `Hello` gets nothing until that is answered: to a client, a frame before the `Welcome` means that none comes.
 */

static int said_hello(const myc_connection *c) { return c->held_for_word && !(c->flags & MYC_NEGOTIATED); }

static int in_lists(const myc_connection *c) { return !c->ended && !c->at_end && !said_hello(c); }

static int names_types(const myc_connection *c) { return c->flags & MYC_SUBSCRIBES && !c->all; }

static int may_receive(const myc_connection *c, unsigned type_id) {
    return (!c->may_receive || has_bit(c->may_receive, type_id)) && (!c->knows || has_bit(c->knows, type_id));
}

/* Of one that is `selective`. */
static int receives(const myc_connection *c, unsigned type_id) {
    return may_receive(c, type_id) && !(c->all && c->types && has_bit(c->types, type_id));
}

static void remove_from_lists(myc_router *router, myc_connection *c) {
    if (c->everywhere) leave_sorted(&router->everyone, c);
    c->everywhere = 0;
    if (c->types && !c->all)
        for (unsigned word = 0; word < MYC_TYPE_WORDS; word++)
            for (uint64_t bits = c->types[word]; bits; bits &= bits - 1)
                leave_sorted(&router->subscribers[word * 64 + (unsigned)__builtin_ctzll(bits)], c);
}

static void insert_into_lists(myc_router *router, myc_connection *c) {
    if (!in_lists(c)) return;
    if (!names_types(c)) {
        c->selective = c->may_receive || c->knows || (c->all && c->types);
        if (join_sorted(&router->everyone, c)) end(c, MYC_END_MEMORY, 0);
        else c->everywhere = 1;
        return;
    }
    if (!c->types) return;
    for (unsigned word = 0; word < MYC_TYPE_WORDS; word++)
        for (uint64_t bits = c->types[word]; bits; bits &= bits - 1) {
            unsigned type_id = word * 64 + (unsigned)__builtin_ctzll(bits);
            if (may_receive(c, type_id) && join_sorted(&router->subscribers[type_id], c)) {
                end(c, MYC_END_MEMORY, 0);
                return;
            }
        }
}

static void subscribe_to_all(myc_router *router, myc_connection *c, int wanted) {
    remove_from_lists(router, c);
    c->all = wanted;
    free(c->types);
    c->types = NULL;
    insert_into_lists(router, c);
}

static void subscribe(myc_router *router, myc_connection *c, int wanted, const uint16_t *types, size_t count) {
    if (!count) return;
    if (!c->types && !(c->types = calloc(MYC_TYPE_WORDS, sizeof *c->types))) {
        end(c, MYC_END_MEMORY, 0);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t bit = UINT64_C(1) << (types[i] % 64);
        if (wanted != c->all) c->types[types[i] / 64] |= bit;
        else c->types[types[i] / 64] &= ~bit;
        if (!in_lists(c) || !names_types(c)) continue;
        if (!wanted) {
            leave_sorted(&router->subscribers[types[i]], c);
        } else if (may_receive(c, types[i]) && join_sorted(&router->subscribers[types[i]], c)) {
            end(c, MYC_END_MEMORY, 0);
            return;
        }
    }
    if (c->everywhere) c->selective = c->may_receive || c->knows || c->all;
}
